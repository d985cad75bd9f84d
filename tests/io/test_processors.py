import os

from diffusionrig.io.processors import cores_of, idle_seconds, processor_quota


def stat(folder, *rows):
    folder.mkdir(exist_ok=True)
    (folder / "stat").write_text("\n".join(["cpu  9 9 9 9 9 0 0 0 0 0", *rows, "intr 5 0", "ctxt 7"]))
    return folder


def test_idle_time_is_counted_over_the_processors_that_are_allowed(tmp_path):
    tick = os.sysconf("SC_CLK_TCK")
    proc = stat(tmp_path / "proc", "cpu0 10 20 30 400 5 1 2 3 7 7", "cpu1 1 0 0 100 0 0 0 0 0 0", "cpu11 0 0 0 9 0 0 0 0 0 0")
    assert idle_seconds({0, 1}, proc) == (505 / tick, (471 + 101) / tick)
    assert idle_seconds({1}, proc) == (100 / tick, 101 / tick)
    assert idle_seconds({0, 2}, proc) is None
    assert idle_seconds({0}, tmp_path / "absent") is None


def test_siblings_are_one_core(tmp_path):
    for number, siblings in enumerate(("0,2", "1,3", "0,2", "1,3")):
        (tmp_path / f"cpu{number}" / "topology").mkdir(parents=True)
        (tmp_path / f"cpu{number}" / "topology" / "thread_siblings_list").write_text(siblings + "\n")
    assert cores_of({0, 1, 2, 3}, tmp_path) == 2
    assert cores_of({0, 1}, tmp_path) == 2
    assert cores_of({0, 2}, tmp_path) == 1
    assert cores_of({4, 5, 6}, tmp_path) == 3


def grant(folder, name, text):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)


def test_the_least_quota_of_a_group_and_those_around_it_counts(tmp_path):
    proc, groups = tmp_path / "proc", tmp_path / "cgroup"
    grant(proc / "self", "cgroup", "0::/outer/inner\n")
    assert processor_quota(proc, groups) is None
    grant(groups / "outer" / "inner", "cpu.max", "max 100000\n")
    assert processor_quota(proc, groups) is None
    grant(groups / "outer", "cpu.max", "150000 100000\n")
    assert processor_quota(proc, groups) == 1.5
    grant(groups / "outer" / "inner", "cpu.max", "50000 100000\n")
    assert processor_quota(proc, groups) == 0.5


def test_the_first_version_of_cgroups_is_understood(tmp_path):
    proc, groups = tmp_path / "proc", tmp_path / "cgroup"
    grant(proc / "self", "cgroup", "4:memory:/box\n3:cpuset:/box\n2:cpu,cpuacct:/box\n0::/\n")
    grant(groups / "cpu" / "box", "cpu.cfs_quota_us", "-1\n")
    grant(groups / "cpu" / "box", "cpu.cfs_period_us", "100000\n")
    assert processor_quota(proc, groups) is None
    grant(groups / "cpu" / "box", "cpu.cfs_quota_us", "300000\n")
    assert processor_quota(proc, groups) == 3.0
    assert processor_quota(tmp_path / "absent", groups) is None
