DROP TABLE sinker.dead_letters;
DROP TABLE sinker.offsets;
