-- Lost: the audit of positions that were changed by hand
DROP TABLE sinker.audit;
