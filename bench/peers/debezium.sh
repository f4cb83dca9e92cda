#!/usr/bin/env bash
# Kafka Connect (standalone) with Debezium's JDBC sink: one of those that sinker is measured beside. The jars come from
# Maven Central, once, into DIR. It needs Java 17 and Maven.
#
#   debezium.sh fetch DIR      get the jars
#   debezium.sh run DIR NAME BROKERS TOPIC JDBC_URL USER PASSWORD TABLE SCHEMA RENAMES      load the topic, until stopped
#
# NAME is the connector: its consumer group is connect-NAME. SCHEMA is the records' Connect schema as JSON: with it the
# converter of Kafka 4.2 and later reads plain JSON, without an envelope in every record. Nested fields are flattened, a.b
# to a_b, and RENAMES (a_b:c,...) makes them the table's columns. The settings are those that made it fastest here:
# multi-row INSERTs by the driver, 5,000 rows a batch, a task for each of the four partitions.
set -euo pipefail
command=$1 dir=$2 kafka=4.2.0 debezium=3.4.0.Final
libs=$dir/debezium-$debezium-kafka-$kafka

fetch() {
  [ -f "$libs/.complete" ] && return
  mkdir -p "$libs"
  cat > "$dir/pom.xml" << X
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion><groupId>local</groupId><artifactId>peers</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>connect-runtime</artifactId><version>$kafka</version></dependency>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>connect-json</artifactId><version>$kafka</version></dependency>
    <dependency><groupId>io.debezium</groupId><artifactId>debezium-connector-jdbc</artifactId><version>$debezium</version></dependency>
  </dependencies>
</project>
X
  (cd "$dir" && mvn -q -B dependency:copy-dependencies "-DoutputDirectory=$libs" >&2)
  touch "$libs/.complete"
}

run() {
  local name=$1 brokers=$2 topic=$3 url=$4 user=$5 password=$6 table=$7 schema=$8 renames=$9
  mkdir -p "$dir/no-plugins"
  cat > "$dir/worker.properties" << X
bootstrap.servers=$brokers
key.converter=org.apache.kafka.connect.storage.StringConverter
value.converter=org.apache.kafka.connect.json.JsonConverter
value.converter.schemas.enable=true
value.converter.schema.content=$schema
offset.storage.file.filename=$dir/$name.offsets
listeners=http://127.0.0.1:0
plugin.path=$dir/no-plugins
plugin.discovery=only_scan
connector.client.config.override.policy=All
X
  cat > "$dir/sink.properties" << X
name=$name
connector.class=io.debezium.connector.jdbc.JdbcSinkConnector
tasks.max=4
topics=$topic
connection.url=$url
connection.username=$user
connection.password=$password
insert.mode=insert
primary.key.mode=none
schema.evolution=none
collection.name.format=$table
batch.size=5000
consumer.override.max.poll.records=5000
transforms=flat,names
transforms.flat.type=org.apache.kafka.connect.transforms.Flatten\$Value
transforms.flat.delimiter=_
transforms.names.type=org.apache.kafka.connect.transforms.ReplaceField\$Value
transforms.names.renames=$renames
consumer.override.auto.offset.reset=earliest
X
  exec java -Xmx1g -cp "$libs/*" org.apache.kafka.connect.cli.ConnectStandalone "$dir/worker.properties" "$dir/sink.properties"
}

case $command in
fetch) fetch ;;
run) shift 2 && run "$@" ;;
*) sed -n '2,14s/^# \{0,1\}//p' "$0" && exit 64 ;;
esac
