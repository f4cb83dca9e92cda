-- Lost: the ledger; verify has nothing to compare with the ranges that were committed so far
DROP TABLE sinker.batches;
