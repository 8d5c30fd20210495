from pathlib import Path

from stack import logs


def test_bound_keeps_what_the_writer_goes_on_with(tmp_path: Path) -> None:
    """A log that grew too long moves aside while its writer keeps writing at the new beginning."""
    path = tmp_path / "a.log"
    with logs.open_for_child(path) as writer:
        writer.write(b"old " * 10)
        logs.bound(path, max_bytes=39)
        writer.write(b"new")
    assert path.read_text() == "new"
    assert (tmp_path / "a.log.1").read_text() == "old " * 10


def test_short_log_is_left_alone(tmp_path: Path) -> None:
    """A log within its bound is not touched."""
    path = tmp_path / "a.log"
    path.write_text("short")
    logs.bound(path, max_bytes=5)
    assert path.read_text() == "short"
    assert not (tmp_path / "a.log.1").exists()


def test_rotation_sets_the_earlier_run_aside(tmp_path: Path) -> None:
    """Rotation leaves no current log, and an empty or absent one is no reason to lose the older."""
    path = tmp_path / "a.log"
    path.write_text("run 1")
    logs.rotate(path)
    path.touch()
    logs.rotate(path)
    assert (tmp_path / "a.log.1").read_text() == "run 1"


def test_tail_gives_the_last_lines(tmp_path: Path) -> None:
    """The tail is the last lines, the last line the last that is not blank; an absent log has none."""
    path = tmp_path / "a.log"
    path.write_text("one\ntwo\nthree\n\n")
    assert logs.tail(path, 2) == ["three", ""]
    assert logs.last_line(path) == "three"
    assert logs.tail(tmp_path / "none.log", 5) == []


def test_follow_yields_whole_new_lines_and_survives_a_cut(tmp_path: Path) -> None:
    """Following begins at the end, waits for whole lines, and begins anew when the file is cut."""
    path = tmp_path / "a.log"
    path.write_text("before\n")
    steps = iter(["first\nhal", "f\n", None])

    def write_more(_: float) -> None:
        step = next(steps)
        if step is None:
            path.write_text("anew\n")
        else:
            with path.open("a") as file:
                file.write(step)

    lines = logs.follow([path], sleep=write_more)
    assert [next(lines)[1] for _ in range(3)] == ["first", "half", "anew"]
