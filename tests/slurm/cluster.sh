#!/usr/bin/env bash
# A real SLURM of two nodes on this machine, for tests: tests/slurm/cluster.sh start|stop|restart-controller
# Needs root and Debian's package slurm-wlm. Each node has two CPUs and two files that stand for GPUs. Its
# configuration lies in /etc/slurm, where alone a job's steps look for it; one of another cluster is left alone.
set -euo pipefail

name=vividface-test
state=${TMPDIR:-/tmp}/$name
configuration=/etc/slurm/slurm.conf

controller() {
    slurmctld
    for _ in $(seq 60); do
        scontrol ping 2> /dev/null | grep -q 'UP' && return
        sleep 0.5
    done
    echo "slurmctld does not answer; see $state/controller.log" >&2
    exit 1
}

end() { # the processes of these files of their numbers
    for file in "$@"; do
        [ -f "$file" ] || continue
        pid=$(cat "$file")
        kill "$pid" 2> /dev/null || continue
        while kill -0 "$pid" 2> /dev/null; do sleep 0.2; done
    done
}

configure() {
    mkdir -p "$state"/{controller,one,two} /etc/slurm
    host=$(hostname -s)
    cat > $configuration << END
ClusterName=$name
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=16817
SlurmUser=root
SlurmdUser=root
AuthType=auth/none
CredType=cred/none
StateSaveLocation=$state/controller
SlurmdSpoolDir=$state/%n
SlurmctldPidFile=$state/controller.pid
SlurmdPidFile=$state/%n.pid
SlurmctldLogFile=$state/controller.log
SlurmdLogFile=$state/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=batch_sched_delay=0,sched_interval=2
ReturnToService=2
MailProg=/bin/true
MinJobAge=600
KillWait=30
# What a job of more memory than it asked for dies of.
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=2
JobAcctGatherParams=OverMemoryKill,UsePss
AccountingStorageType=accounting_storage/none
GresTypes=gpu
NodeName=one NodeHostname=$host NodeAddr=127.0.0.1 Port=16818 CPUs=2 RealMemory=9000 Gres=gpu:2
NodeName=two NodeHostname=$host NodeAddr=127.0.0.1 Port=16819 CPUs=2 RealMemory=9000 Gres=gpu:2
PartitionName=cpu Nodes=ALL Default=YES MaxTime=INFINITE State=UP
PartitionName=gpu Nodes=ALL MaxTime=INFINITE State=UP
END
    for node in one two; do
        echo "NodeName=$node Name=gpu File=/dev/null"
        echo "NodeName=$node Name=gpu File=/dev/zero"
    done > /etc/slurm/gres.conf
}

case ${1:-} in
    start)
        if [ -f $configuration ] && ! grep -q "^ClusterName=$name$" $configuration; then
            echo "$configuration is of another cluster, which the tests leave alone" >&2
            exit 1
        fi
        end "$state"/*.pid
        rm -rf "$state"
        configure
        controller
        for node in one two; do slurmd -N $node; done
        for _ in $(seq 120); do
            [ "$(sinfo -h -N -p cpu -o %T 2> /dev/null | sort | uniq -c | xargs)" = "2 idle" ] && exit 0
            sleep 0.5
        done
        echo "the nodes did not become idle; see $state" >&2
        exit 1
        ;;
    stop)
        end "$state"/*.pid
        # With the files and no cluster, every Snakemake on this machine would wait for one.
        if grep -qs "^ClusterName=$name$" $configuration; then rm $configuration /etc/slurm/gres.conf; fi
        ;;
    restart-controller)
        end "$state/controller.pid"
        controller
        ;;
    *)
        echo "usage: $0 start|stop|restart-controller" >&2
        exit 2
        ;;
esac
