DROP TABLE sinker.audit;
