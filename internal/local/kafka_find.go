package local

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// ErrNoKafka says that no real Kafka can be had on this machine. Nothing was started.
var ErrNoKafka = errors.New("no Kafka found: it needs Java 17 or later, and either KAFKA_HOME set to the folder " +
	"of an unpacked Kafka 4 release, or Maven, which fetches the jars once (apt-get install default-jre-headless maven)")

const kafkaVersion = "4.1.0"

// KafkaRelease is an installation of Apache Kafka: a Java machine and the jars.
type KafkaRelease struct {
	java, classpath string
	From            string // where it is, for people
}

// FindKafka returns the release that $KAFKA_HOME names, or else the one whose jars are in this user's cache; the first
// time Maven fetches them, some 100 MB. The error is ErrNoKafka, with the reason, where neither works.
func FindKafka() (*KafkaRelease, error) {
	java, err := exec.LookPath("java")
	if err != nil {
		return nil, fmt.Errorf("%w (there is no java on PATH)", ErrNoKafka)
	}
	if home := os.Getenv("KAFKA_HOME"); home != "" {
		libs := filepath.Join(home, "libs")
		if jars, _ := filepath.Glob(filepath.Join(libs, "kafka_2.*.jar")); len(jars) == 0 {
			return nil, fmt.Errorf("KAFKA_HOME is %s, which has no libs/kafka_2.*.jar", home)
		}
		return &KafkaRelease{java, filepath.Join(libs, "*"), home}, nil
	}
	cache, err := cacheDir()
	if err != nil {
		return nil, fmt.Errorf("%w (there is no place to keep the jars: %w)", ErrNoKafka, err)
	}
	libs := filepath.Join(cache, "sinker", "kafka-"+kafkaVersion)
	if err := fetchKafka(libs); err != nil {
		return nil, fmt.Errorf("%w (Maven: %w)", ErrNoKafka, err)
	}
	return &KafkaRelease{java, filepath.Join(libs, "*"), libs}, nil
}

// KafkaAtHand says whether FindKafka would not have to fetch anything.
func KafkaAtHand() bool {
	if os.Getenv("KAFKA_HOME") != "" {
		return true
	}
	cache, err := cacheDir()
	if err != nil {
		return false
	}
	jars, _ := filepath.Glob(filepath.Join(cache, "sinker", "kafka-"+kafkaVersion, "kafka_2.*.jar"))
	return len(jars) > 0
}

// kafkaPOM names what a broker and the tools need, for Maven.
const kafkaPOM = `<project xmlns="http://maven.apache.org/POM/4.0.0">
<modelVersion>4.0.0</modelVersion><groupId>local</groupId><artifactId>kafka</artifactId><version>1</version>
<dependencies>
<dependency><groupId>org.apache.kafka</groupId>
  <artifactId>kafka_2.13</artifactId><version>VERSION</version></dependency>
<dependency><groupId>org.apache.kafka</groupId>
  <artifactId>kafka-tools</artifactId><version>VERSION</version></dependency>
<dependency><groupId>org.apache.logging.log4j</groupId>
  <artifactId>log4j-slf4j-impl</artifactId><version>2.24.3</version></dependency>
</dependencies></project>
`

// fetchKafka has Maven copy the jars into folder libs, unless they are there. It works in a neighbouring folder, so
// that no other process sees half of them.
func fetchKafka(libs string) error {
	if jars, _ := filepath.Glob(filepath.Join(libs, "kafka_2.*.jar")); len(jars) > 0 {
		return nil
	}
	maven, err := exec.LookPath("mvn")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(libs), 0o755); err != nil {
		return err
	}
	work, err := os.MkdirTemp(filepath.Dir(libs), "fetch-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if err := os.WriteFile(filepath.Join(work, "pom.xml"), []byte(strings.ReplaceAll(kafkaPOM, "VERSION", kafkaVersion)),
		0o644); err != nil {
		return err
	}
	fetched := filepath.Join(work, "libs")
	cmd := exec.Command(maven, "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory="+fetched)
	cmd.Dir = work
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, tail(out, 500))
	}
	if err := os.Rename(fetched, libs); err != nil {
		if jars, _ := filepath.Glob(filepath.Join(libs, "kafka_2.*.jar")); len(jars) > 0 {
			return nil // another process was faster
		}
		return err
	}
	return nil
}

// Command is one of Kafka's own programs, by the name of its Java class, with a heap such as 256m.
func (r *KafkaRelease) Command(heap, class string, args ...string) *exec.Cmd {
	return exec.Command(r.java, append(r.args(heap, class), args...)...)
}

func (r *KafkaRelease) args(heap, class string) []string {
	return []string{"-Xmx" + heap, "-XX:+UseSerialGC", "-cp", r.classpath, class}
}
