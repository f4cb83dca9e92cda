DROP TABLE sinker.batches;
