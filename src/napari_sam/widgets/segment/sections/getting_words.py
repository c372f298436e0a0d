"""What is said about a model that is to be downloaded, before, meanwhile, after."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam.models.known import in_bytes
from napari_sam.models.store import Trust
from napari_sam.widgets.auto_annotate.words import duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_sam.live.disk.getting import State
    from napari_sam.models.store import Plan

DOWNLOAD, UNVERIFIED = "Download", "Download, though not verified"
CHECK, GO_ON, AGAIN = "Check it", "Go on", "Try again"

_OWN_FILE = "Is the file here already? “Use my checkpoint…” takes it where it lies."


def lines(state: State, seconds_now: float) -> Sequence[str]:
    """Say how far it is, or what would be done; nothing where there is nothing."""
    known, plan = state.known, state.plan
    if known is None or state.phase == "nothing":
        return ()
    if state.phase == "looking":
        return (f"Looking up {known.title}…",)
    if state.phase == "failed":
        return (f"⚠ {_sentence(state.error)}",)
    if state.phase == "offered":
        return () if plan is None else offer(plan)
    if state.phase == "done":
        return (_done(state),)
    if state.phase == "stopped":
        return (_stopped(state),)
    return (_getting(state, seconds_now),)


def offer(plan: Plan) -> Sequence[str]:
    """Say what would be fetched: what, how large, from where, where to."""
    known = plan.known
    size = known.says_size
    what = f"{size[:1].upper()}{size[1:]}, licence: {known.licence}."
    if plan.here:
        there = f"It lies in {plan.path} already: nothing is downloaded."
        said = [f"Use {known.title}? {what}", there]
    else:
        said = [f"Download {known.title}? {what}"]
        said += [f"From: {plan.source}", f"To: {plan.path}"]
    if plan.have:
        said.append(f"{in_bytes(plan.have)} came before: it can go on from there.")
    if plan.vouched:
        said.append("It is checked against its known hash before it counts.")
    else:
        said.append(
            "⚠ Remembered, not verified: we know of no hash by its publisher, so "
            "nothing can tell whether what comes is right. The hash of what comes is "
            "remembered, and from then on the file must stay so. Do you want it like "
            "that?"
        )
    if plan.free is not None and plan.free < known.size - plan.have and not plan.here:
        said.append(f"⚠ Only {in_bytes(plan.free)} are free there.")
    return (*said, _OWN_FILE)


def agree(state: State) -> str:
    """Return what stands on the button that begins; empty where there is none."""
    if state.phase == "stopped":
        return GO_ON
    if state.phase == "failed":
        return AGAIN
    if state.phase != "offered" or state.plan is None:
        return ""
    if state.plan.here:
        return CHECK
    return DOWNLOAD if state.plan.vouched else UNVERIFIED


def _getting(state: State, now: float) -> str:
    title = "" if state.known is None else state.known.title
    if state.waits:
        return f"{title}: another window or program is getting it; waiting for that."
    if not state.total:
        return f"{title}: asking for it…"
    if state.checking:
        return f"{title}: all of it is here; checking it…"
    so_far = f"{title}: {in_bytes(state.have)} of {in_bytes(state.total)}"
    left = state.seconds_left(now)
    return f"{so_far}." if left is None else f"{so_far}, about {duration(left)} left."


def _done(state: State) -> str:
    title = "" if state.known is None else state.known.title
    verified = state.found is not None and state.found.trust is Trust.VERIFIED
    how = "verified" if verified else "remembered, not verified"
    return f"{title} is here ({how}), and can be chosen as the model."


def _stopped(state: State) -> str:
    if not state.have:
        return "Stopped; nothing was changed."
    return f"Stopped. {in_bytes(state.have)} are kept: it can go on from there later."


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."
