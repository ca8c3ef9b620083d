"""What a fit tells of its end."""

from __future__ import annotations

from nmap.fit.progress import Progress, Watch


def test_the_end_is_foretold_only_when_enough_is_done_to_tell() -> None:
    heard: list[Progress] = []
    watch = Watch(heard.append)
    for share in (0.001, 0.04, 0.06, 1.0):
        watch.say("fitting", share, 130.0)
    watch.say("storing", None, 5.0)
    assert [one.seconds_left for one in heard] == [None, None, 130.0, 130.0, 5.0]
