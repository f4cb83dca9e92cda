-- Lost: every position, its totals and the dead letters; the next run begins each topic where kafka.start says, and writes its records again
DROP TABLE sinker.dead_letters;
DROP TABLE sinker.offsets;
