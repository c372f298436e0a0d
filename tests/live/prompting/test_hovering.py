"""What a click would give under the mouse: asked of the real built-in model."""

import shutil
import threading

import numpy as np
import pytest

from napari_sam.live.prompting.hovering import Hovering
from napari_sam.models.catalog import list_models
from napari_sam.models.lane import Priority, acquire

SHAPE = (96, 112)


class Told:
    """Hovering, and every guess that it told of."""

    def __init__(self, session, post):
        self.guesses = []
        self.hovering = Hovering(session, post, self._changed)

    def _changed(self):
        self.guesses.append(self.hovering.guess)

    def rest(self, place, index=(0,)):
        return self.hovering.rest(index, place, drawn_by)

    @property
    def shown(self):
        return self.hovering.guess


def drawn_by(mask):
    return threading.current_thread().name


@pytest.fixture
def hover(pump, opened):
    """Return one whose slice is prepared."""
    pump.until(lambda: opened.prepared((0,)) is not None)
    told = Told(opened, pump.post)
    yield told
    told.hovering.close()


@pytest.fixture
def nowhere():
    """Return whether nothing was told until now."""
    return lambda told: not told.guesses and told.shown is None


def test_it_is_what_a_click_would_give(pump, opened, hover, draw, answered):
    place = draw.nuclei[1]
    assert hover.rest(place)
    pump.until(lambda: hover.shown is not None)
    guess = hover.shown
    assert (guess.index, guess.place) == ((0,), place)
    opened.ask("a", (0,), (draw.click(*place),))
    pump.until(answered(opened))
    clicked = opened.suggestions["a"].mask
    assert np.array_equal(guess.mask.full(SHAPE), clicked.full(SHAPE))


def test_it_shows_the_size_that_the_person_prefers(pump, opened, hover, draw, answered):
    places = [(44.5, 68.5), (12.5, 52.5), (52.5, 60.5)]  # with several answers
    for number, place in enumerate(places):
        opened.preferred_scale = None
        opened.ask(number, (0,), (draw.click(*place),))
        pump.until(answered(opened))
        if len(opened.suggestions[number].candidates.masks) > 1:
            break
    largest = opened.suggestions[number].candidates.masks[-1]
    opened.drop()
    opened.preferred_scale = 1.0
    assert hover.rest(place)
    pump.until(lambda: hover.shown is not None)
    assert hover.shown.mask.area == largest.area


def test_it_leaves_no_trace(pump, opened, hover, listener, draw):
    listener.redrawn.clear()
    phases = list(listener.phases)
    hover.rest(draw.nuclei[0])
    pump.until(lambda: hover.shown is not None)
    hover.hovering.clear()
    assert hover.shown is None
    assert hover.guesses[-1] is None
    assert not opened.history.can_undo
    assert not opened.suggestions
    assert opened.current is None
    assert not (listener.redrawn or listener.marks or listener.changes)
    assert not opened.store.labels.any()
    assert listener.phases == phases


def test_it_is_drawn_off_this_thread(pump, hover, draw):
    hover.rest(draw.nuclei[0])
    pump.until(lambda: hover.shown is not None)
    assert hover.shown.picture.startswith("napari-sam lane")


def test_nothing_is_asked_where_nothing_is_prepared(pump, opened, draw, nowhere):
    early = Told(opened, pump.post)
    assert not early.rest(draw.nuclei[0])
    assert not early.hovering.asking
    pump.until(lambda: opened.prepared((0,)) is not None)
    assert not early.rest(draw.nuclei[0], index=(3,))
    opened.leave()
    assert not early.rest(draw.nuclei[0])
    assert nowhere(early)
    early.hovering.close()


def test_a_mouse_that_went_on_gets_no_answer(pump, hover, draw, nowhere):
    assert hover.rest(draw.nuclei[0])
    assert hover.hovering.asking
    hover.hovering.clear()
    assert not hover.hovering.asking
    lane, later = acquire("cpu", owner="later", post=pump.post), []
    lane.submit(lambda: None, slot="later", priority=Priority.BATCH, done=later.append)
    pump.until(lambda: later)  # whatever was asked before has been told
    assert nowhere(hover)
    lane.close()


def test_only_the_last_place_is_answered(pump, hover, draw):
    for place in draw.nuclei:
        assert hover.rest(place)
    pump.until(lambda: hover.shown is not None)
    assert hover.guesses == [hover.shown]
    assert hover.shown.place == draw.nuclei[-1]


def test_a_click_goes_first(pump, opened, hover, draw, answered):
    gate = threading.Event()
    lane = acquire("cpu", owner="gate", post=pump.post)
    lane.submit(gate.wait, slot="gate", priority=Priority.DRAWING)
    assert hover.rest(draw.nuclei[0])
    opened.ask("a", (0,), draw.on(1))
    gate.set()
    pump.until(answered(opened))
    assert hover.shown is None
    assert hover.hovering.asking
    pump.until(lambda: hover.shown is not None)
    lane.close()


def test_an_answer_that_a_click_has_overtaken_is_dropped(
    pump, opened, hover, draw, answered, nowhere
):
    gate = threading.Event()
    lane = acquire("cpu", owner="gate", post=pump.post)
    lane.submit(gate.wait, slot="gate", priority=Priority.DRAWING)
    assert hover.rest(draw.nuclei[1])
    opened.ask("a", (0,), draw.on(1))
    gate.set()
    pump.until(lambda: answered(opened)() and not hover.hovering.asking)
    assert nowhere(hover)
    lane.close()


def test_nothing_is_asked_where_something_is(pump, opened, hover, draw, answered):
    place = draw.nuclei[1]
    opened.ask("a", (0,), (draw.click(*place),))
    pump.until(answered(opened))
    assert not hover.rest(place)
    opened.commit()
    assert opened.store.labels.any()
    assert not hover.rest(place)
    assert hover.rest(draw.nuclei[0])


def test_another_model_ends_it(pump, opened, hover, draw, nowhere):
    assert hover.rest(draw.nuclei[0])
    opened.use_model("pocket", "cpu")
    pump.until(lambda: opened.prepared((0,)) is not None)
    pump.until(lambda: not hover.hovering.asking)
    assert nowhere(hover)


def test_only_the_built_in_model_is_asked(pump, opened, hover, draw, tmp_path):
    weights = next(entry.path for entry in list_models() if entry.name == "pocket")
    mine = tmp_path / "mine.safetensors"
    shutil.copy(weights, mine)
    opened.use_model(str(mine), "cpu")
    pump.until(lambda: opened.prepared((0,)) is not None)
    assert not hover.rest(draw.nuclei[0])


def test_it_can_be_used_again_after_its_end(pump, hover, draw):
    hover.rest(draw.nuclei[0])
    hover.hovering.close()
    assert not hover.hovering.asking
    assert hover.rest(draw.nuclei[0])
    pump.until(lambda: hover.shown is not None)
