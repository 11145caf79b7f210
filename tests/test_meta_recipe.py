import json
import math

import pytest

from keras_tinytrain.meta import Recipe


def test_the_rate_rises_then_falls_to_zero():
    """Two steps of warm-up, then half a cosine over eight."""
    recipe = Recipe(episodes=20, batch=2, warmup=0.2, learning_rate=3.0)
    assert recipe.steps == 10
    rates = [recipe.rate(step) for step in range(10)]
    assert rates[:3] == pytest.approx([1.0, 2.0, 3.0])
    assert rates[6] == pytest.approx(1.5)  # Halfway.
    assert rates[4] == pytest.approx(1.5 * (1 + math.sqrt(0.5)))
    assert rates[2:] == sorted(rates[2:], reverse=True)
    assert recipe.rate(10) == pytest.approx(0.0)


def test_without_warmup_the_first_rate_is_the_largest():
    recipe = Recipe(episodes=4, warmup=0, learning_rate=1.0)
    assert recipe.rate(0) == 1.0


def test_json_has_all():
    recipe = Recipe(way=None, shot=None, styles={"grey": 0.5}, seed=3)
    assert Recipe(**json.loads(recipe.to_json())) == recipe
    assert recipe != Recipe()


def test_a_recipe_is_frozen():
    styles = {"grey": 0.5}
    frozen = Recipe(styles=styles)
    styles["invert"] = 0.5
    assert frozen.styles == {"grey": 0.5}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"episodes": 7, "batch": 2}, "a multiple of 2. Received: episodes=7"),
        ({"episodes": 0}, "an integer from 1. Received: episodes=0"),
        ({"way": 1}, "an integer from 2. Received: way=1"),
        ({"shot": 2.0}, "an integer from 1. Received: shot=2.0"),
        ({"query": None}, "an integer from 1. Received: query=None"),
        ({"seed": -1}, "an integer from 0. Received: seed=-1"),
        ({"learning_rate": math.nan}, "a positive number. Received"),
        ({"crop": 0}, "a positive number. Received: crop=0"),
        ({"crop": 2}, "from 0 to 1. Received: crop=2"),
        ({"jitter": -0.1}, "from 0 to 1. Received: jitter=-0.1"),
        ({"optimizer": "lion"}, "one of sgd, adam. Received"),
        ({"head": "mlp"}, "one of prototype, linear. Received"),
        ({"styles": {"cubist": 0.1}}, "names among invert, grey"),
        ({"styles": {"grey": 0.6, "invert": 0.6}}, "from 0 to 1. Received"),
    ],
)
def test_bad_values_are_named(values, message):
    with pytest.raises(ValueError, match="Expected `") as error:
        Recipe(**values)
    assert message in str(error.value)
