#!/usr/bin/env bash
# Checks the model of the offset protocol: every configuration of it must hold, every mutant must fail.
# One line each: name, states, depth, errors, seconds, what was expected and what was found. The exit code is 1 when a configuration
# fails or a mutant passes, 2 when the check itself could not be made.
#
#   docs/model/check.sh              everything: two to three minutes of one core, 500 MB
#   docs/model/check.sh NO_LOCK      only what has this name
#   KEEP=dir docs/model/check.sh …   leaves pan.out and the trails in dir (`spin -t -p -g <same -D flags> sinker.pml` replays one)
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
only=${1:-}

for tool in spin gcc; do
	command -v "$tool" >/dev/null || { echo "check.sh: $tool is missing: apt-get install -y spin gcc" >&2; exit 2; }
done
work=${KEEP:-$(mktemp -d)}
mkdir -p "$work" || exit 2
[ -n "${KEEP:-}" ] || trap 'rm -rf "$work"' EXIT
wrong=0 ran=0

# invariant names the assertion that pan's output says was violated.
invariant() {
	case $(grep -m1 '^pan:1:' "$1") in
	*"acceptance cycle"*)      echo "a record never lands" ;;
	*"violated 0 "*)           echo "a partition stops for no reason" ;;
	*"row_owner[p]==(w+1)"*)   echo "counted by somebody who does not own it" ;;
	*"row_owner[p]=="*)        echo "a fenced worker writes" ;;
	*"(row_pos["*"<="*)        echo "the position passes the end of the log" ;;
	*"==((1<<row_pos["*)       echo "the rows are not the prefix below the position" ;;
	*"row_log["*"==1)||"*)     echo "rows of another log" ;;
	*")==0)"*)                 echo "a record has two rows" ;;
	*"whose["*)                echo "counted as committed but not there" ;;
	*"deadlock"*|*"end state"*) echo "a deadlock" ;;
	*) grep -m1 '^pan:1:' "$1" ;;
	esac
}

# run <holds|fails> <name> <flags…> checks one configuration or mutant and prints its line.
run() {
	local want=$1 name=$2 found dir states depth errors seconds opt=-O2 mode=(-DSAFETY) args=(-m200000 -w24 -n)
	shift 2
	[ "$want" = holds ] || opt=-O0 # a mutant is found faster than compiled
	[ -z "$only" ] || [ "$only" = "$name" ] || return 0
	case " $* " in *" -DLIVE "*) opt=-O2 mode=(-DNFAIR=3) args+=(-a -f) ;; esac
	dir=$work/$name
	mkdir -p "$dir" && cp "$here/sinker.pml" "$dir/" || exit 2
	(cd "$dir" && spin "$@" -a sinker.pml >spin.out 2>&1 && gcc $opt -w "${mode[@]}" -o pan pan.c >gcc.out 2>&1) ||
		{ echo "$name: could not be compiled:" >&2; tail -n 5 "$dir"/*.out >&2; exit 2; }
	(cd "$dir" && ./pan "${args[@]}" >pan.out 2>&1)
	states=$(sed -n 's/^ *\([0-9]*\) states, stored.*/\1/p' "$dir/pan.out")
	depth=$(sed -n 's/.*depth reached \([0-9]*\),.*/\1/p' "$dir/pan.out")
	errors=$(sed -n 's/.*errors: \([0-9]*\).*/\1/p' "$dir/pan.out")
	seconds=$(sed -n 's/.*elapsed time \([0-9.e+]*\) seconds.*/\1/p' "$dir/pan.out")
	# Without a figure, or with a search that was cut short and found nothing, nothing is known.
	if [ -z "$errors" ] || { [ "$errors" = 0 ] && grep -qE 'max search depth too small|out of memory|Search not completed' "$dir/pan.out"; }; then
		echo "$name: the search did not end:" >&2
		tail -n 5 "$dir/pan.out" >&2
		exit 2
	fi
	found=holds
	[ "$errors" = 0 ] || found="fails: $(invariant "$dir/pan.out")"
	ran=$((ran + 1))
	case $found in
	"$want"*) ;;
	*) wrong=$((wrong + 1)) found="$found   <== WRONG, it must be: $want" ;;
	esac
	printf '%-28s %9s states  depth %4s  errors %s  %6s s  %s\n' "$name" "$states" "$depth" "$errors" "$seconds" "$found"
}

all="-DFAILOVER -DREWIND -DRECREATE"
echo "-- the protocol: nothing lost, nothing twice"
run holds two-workers              $all
run holds two-workers-four-records $all -DEND0=4
run holds three-workers            -DNW=3 -DEND0=2 -DFAILOVER
run holds three-workers-operator   -DNW=3 -DEND0=2 -DEND1=1 -DREWIND -DRECREATE
run holds two-partitions           -DNP=2 -DEND0=1 -DEND1=1 -DMAXF=2 -DFAILOVER
run holds two-partitions-operator  -DNP=2 -DEND0=2 -DEND1=1 -DMAXF=2 -DREWIND

echo "-- the protocol: every record lands, under weak fairness, when each fault happens so many times"
few="-DLIVE -DMAXF=15 -DEND0=2 -DEND1=1"
frozen="-DCUTS=1 -DCRASHES=0 -DABORTS=0 -DMOVES=1 -DFREEZES=1"
run holds live-workers             $few -DCUTS=1 -DCRASHES=1 -DABORTS=1 -DMOVES=1 -DFREEZES=1
run holds live-failover            $few $frozen -DFAILOVER
run holds live-operator            $few -DCUTS=1 -DCRASHES=1 -DABORTS=0 -DMOVES=0 -DFREEZES=0 $all

echo "-- one of two belts is enough: the data stays right without the other"
run holds COUNT_INSTEAD_OF_LOCK    $all -DNO_LOCK -DKEEP_THE_COUNT
run holds FENCE_ALONE_DATA         $all -DFENCE_ALONE -DDATA_ONLY
run holds NO_IDENTITY_IN_COMPARE   $all -DNO_IDENTITY_IN_COMPARE

echo "-- mutants: each must fail"
for m in NO_LOCK POSITION_BEFORE_LOCK NO_FENCE FENCE_ALONE ALREADY_WITHOUT_FENCE NO_IDENTITY; do run fails $m $all -D$m; done
run fails NO_IDENTITY_FENCE_ALONE $all -DNO_IDENTITY_IN_COMPARE -DFENCE_ALONE -DDATA_ONLY
for m in UNKNOWN_IS_FAILED UNKNOWN_IS_COMMITTED RANGE_CHANGED_IN_DOUBT POSITION_FROM_MEMORY NO_REWIND \
	OFFSETS_SECOND_TX ADVANCE_BEFORE_COMMIT TWO_TABLES_TWO_TX DEAD_LETTERS_OUTSIDE \
	TO_IS_HIGH_WATERMARK FETCH_BY_NAME OPERATOR_DELETES_APART; do run fails $m $all -D$m; done
run fails FENCE_ALONE_LIVE         $few $frozen -DFAILOVER -DFENCE_ALONE -DDATA_ONLY
run fails NO_LOOK                  $few $frozen -DFAILOVER -DNO_LOOK
run fails WENT_BACK_STOPS          $few $frozen -DFAILOVER -DWENT_BACK_STOPS
run fails NO_SERVER_TIMEOUT        $few $frozen -DNO_SERVER_TIMEOUT

if [ "$ran" = 0 ]; then
	echo "check.sh: nothing is named $only" >&2
	exit 2
fi
echo "$ran checked, $wrong wrong, $SECONDS s"
[ "$wrong" = 0 ]
