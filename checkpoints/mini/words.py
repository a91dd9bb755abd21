"""What the world is called: captions of clips, edit instructions and prompts about reference pictures, varied in words.

Templates marked `EVALUATION` are never trained on. `attributes` says what a text asks for; the text encoder learns to
read it, and the evaluation to judge it.
"""

import world

COLOURS = {
    "red": ["red", "red", "crimson", "scarlet"], "orange": ["orange", "orange", "tangerine", "amber"],
    "yellow": ["yellow", "yellow", "golden", "lemon yellow"], "green": ["green", "green", "emerald", "lime green"],
    "blue": ["blue", "blue", "azure", "royal blue"], "purple": ["purple", "purple", "violet", "lilac"],
    "pink": ["pink", "pink", "rose", "hot pink"], "white": ["white", "white", "snow-white", "ivory"],
    "black": ["black", "black", "jet black", "ebony"],
}  # fmt: skip
SHAPES = {
    "circle": ["ball", "ball", "circle", "disc", "sphere", "balloon", "dot"],
    "square": ["square", "square", "box", "cube", "block"],
    "triangle": ["triangle", "triangle", "pyramid", "wedge"], "star": ["star", "star", "starfish", "five-pointed star"],
    "heart": ["heart", "heart", "love heart"], "ring": ["ring", "ring", "hoop", "donut", "wheel"],
    "cross": ["cross", "cross", "plus sign", "plus"], "diamond": ["diamond", "diamond", "rhombus", "kite"],
}  # fmt: skip
SIZES = {
    "small": ["small", "little", "tiny", "mini"], "medium": ["", "", "medium-sized", "mid-size"],
    "big": ["big", "large", "huge", "giant"],
}  # fmt: skip
# Third person, and the same as a participle.
MOTIONS = {
    "left": [("moves left", "moving left"), ("moves to the left", "moving to the left"), ("drifts to the left", "drifting to the left"), ("slides left", "sliding left"), ("flies leftwards", "flying leftwards"), ("travels from right to left", "travelling from right to left"), ("goes left", "going left")],
    "right": [("moves right", "moving right"), ("moves to the right", "moving to the right"), ("drifts to the right", "drifting to the right"), ("slides right", "sliding right"), ("flies rightwards", "flying rightwards"), ("travels from left to right", "travelling from left to right"), ("goes right", "going right")],
    "up": [("rises", "rising"), ("moves up", "moving up"), ("floats upwards", "floating upwards"), ("goes up", "going up"), ("climbs up", "climbing up"), ("ascends", "ascending"), ("flies up", "flying up")],
    "down": [("falls", "falling"), ("moves down", "moving down"), ("sinks downwards", "sinking downwards"), ("drops down", "dropping down"), ("descends", "descending"), ("goes down", "going down"), ("falls slowly", "falling slowly")],
    "bounce": [("bounces", "bouncing"), ("bounces up and down", "bouncing up and down"), ("hops", "hopping"), ("jumps up and down", "jumping up and down"), ("is bouncing on the ground", "bouncing on the ground")],
    "spin": [("spins", "spinning"), ("rotates", "rotating"), ("turns around itself", "turning around itself"), ("spins in place", "spinning in place"), ("twirls", "twirling")],
    "grow": [("grows", "growing"), ("gets bigger", "getting bigger"), ("becomes larger", "becoming larger"), ("expands", "expanding"), ("swells", "swelling")],
    "shrink": [("shrinks", "shrinking"), ("gets smaller", "getting smaller"), ("becomes smaller", "becoming smaller"), ("contracts", "contracting"), ("dwindles", "dwindling")],
    "orbit": [("moves in a circle", "moving in a circle"), ("circles around", "circling around"), ("orbits", "orbiting"), ("goes round and round", "going round and round"), ("flies in circles", "flying in circles")],
    "still": [("stays still", "staying still"), ("does not move", "not moving"), ("rests", "resting"), ("stands still", "standing still"), ("hovers motionless", "hovering motionless"), ("", "")],
    "sway": [("sways from side to side", "swaying from side to side"), ("swings back and forth", "swinging back and forth"), ("moves left and right", "moving left and right"), ("oscillates", "oscillating"), ("wobbles sideways", "wobbling sideways")],
}  # fmt: skip
BACKGROUNDS = {
    "night": ["at night", "under a starry night sky", "in the night sky with the moon", "in the dark night", "beneath the moon and stars"],
    "sky": ["in a blue sky", "in the sky with white clouds", "among the clouds", "in the daytime sky", "on a sunny day in the sky"],
    "grass": ["over green grass", "on a meadow", "in a grassy field", "over a green hill", "on the lawn"],
    "desert": ["in the desert", "over sand dunes", "on a sandy beach", "over the sand", "in a sandy desert"],
    "sea": ["over the sea", "on the ocean", "above the water", "by the sea", "over blue waves"],
    "sunset": ["at sunset", "in front of a setting sun", "at dusk", "in the evening glow", "against an orange sunset"],
    "snow": ["in the snow", "over snowy hills", "in winter", "on a snowy field", "over white snow"],
    "grey": ["in front of a grey wall", "on a grey background", "against plain grey", "on a gray background"],
    "white": ["on a white background", "in front of a white wall", "against plain white", "in a white room"],
    "black": ["on a black background", "in front of a black wall", "against plain black", "in complete darkness"],
    "photo": ["in front of a colourful texture", "over a photograph", "on a textured background", "in front of a blurry photo"],
}  # fmt: skip
CAMERAS = {
    "fixed": [""], "pan left": ["the camera pans left", "camera panning to the left"],
    "pan right": ["the camera pans right", "camera panning to the right"],
    "zoom in": ["the camera zooms in", "zooming in", "slow zoom in"], "zoom out": ["the camera zooms out", "zooming out", "slow zoom out"],
}  # fmt: skip

TEMPLATES = [
    "{a} {finite} {where}", "{a} {part} {where}", "{where}, {a} {finite}", "a video of {a} {part} {where}",
    "{where}: {a} {part}", "{a} {where}, {part}", "{a} {finite}, {where}", "there is {a} {where}, it {finite}",
    "animation of {a} that {finite} {where}", "{a} that {finite} {where}",
]  # fmt: skip
EVALUATION = [
    "we see {a} {part} {where}", "{where} {a} is {part}", "{part} {where}, {a}", "a short clip showing how {a} {finite} {where}",
    "{a}, {part}, {where}, simple animation",
]  # fmt: skip

COLOUR_EDITS = ["make it {c}", "turn it {c}", "change its colour to {c}", "paint it {c}", "make the {s} {c}", "change the {s} to {c}",
                "the {s} should be {c}", "recolour it {c}", "change the color to {c}", "let it be {c}", "give it a {c} colour",
                "we want it {c}", "now in {c}", "{c} instead", "could you make the {s} {c}", "have the {s} be {c}"]  # fmt: skip
SHAPE_EDITS = ["turn it into {a}", "make it {a}", "replace the {s} with {a}", "change the {s} into {a}", "transform it into {a}",
               "swap the {s} for {a}", "change its shape to {a}", "it should be {a}", "{a} in its place", "we want {a}", "now as {a}", "could you make the {s} {a}",
               "use {a} and not the {s}"]  # fmt: skip
PLACE_EDITS = ["put it {w}", "change the background: {w}", "make it happen {w}", "the same {w}", "move the scene {w}", "set it {w}",
               "replace the background, now {w}", "show it {w}", "now {w}", "we want this {w}", "could it be {w}"]  # fmt: skip
SHORT_PLACES = {"night": "make it night", "sunset": "make it sunset", "snow": "make it snow", "grass": "make it a meadow",
                "sea": "make it the sea", "sky": "make it a sunny day", "desert": "make it a desert",
                "white": "make the background white", "black": "make the background black",
                "grey": "make the background grey"}  # fmt: skip
EDIT_EVALUATION = {"colour": ["please make it {c}", "I want the {s} to be {c}"], "shape": ["please turn it into {a}", "I want {a} instead"],
                   "place": ["please put it {w}", "I want it {w}"]}  # fmt: skip
REFERENCES = ["the thing in Image 1", "the object from Image 1", "Image 1", "the thing from the first image", "the object in the picture",
              "the thing in image 1", "the figure shown in Image 1", "the {s} in Image 1", "the {c} {s} from Image 1"]  # fmt: skip


def pick(rng, items):
    return items[int(rng.integers(len(items)))]


def article(phrase):
    return ("an " if phrase[0] in "aeiou" else "a ") + phrase


def noun(rng, thing, with_size=True):
    """An object's name, its adjectives in either order; now and then with its colour behind it."""
    colour, shape = pick(rng, COLOURS[thing.colour]), pick(rng, SHAPES[thing.shape])
    size = pick(rng, SIZES[thing.size]) if with_size and thing.motion not in ("grow", "shrink") else ""
    if thing.motion in ("grow", "shrink") or rng.random() < 0.15:
        size = ""
    if rng.random() < 0.08:
        return article(" ".join(w for w in (size, shape) if w)) + f" of {colour} colour"
    words = [size, colour] if rng.random() < 0.8 else [colour, size]
    return article(" ".join(w for w in [*words, shape] if w))


def caption(rng, spec, evaluation=False, subject=None):
    """A prompt for a clip. `subject` stands in place of the first thing's name."""
    thing = spec.things[0]
    a = subject or noun(rng, thing)
    finite, part = pick(rng, MOTIONS[thing.motion])
    where = pick(rng, BACKGROUNDS[spec.background])
    if len(spec.things) > 1:
        other = noun(rng, spec.things[1], with_size=False)
        where = pick(rng, ["next to {}", "beside {}", "near {}", "and {}"]).format(other) + " " + where
    text = pick(rng, EVALUATION if evaluation else TEMPLATES)
    if not finite:
        text = pick(rng, ["{a} {where}", "{where}, {a}", "a video of {a} {where}"])
    if len(spec.things) == 1 and rng.random() < 0.03 and not evaluation:
        where = ""
    text = text.format(a=a, finite=finite, part=part, where=where).strip(" ,:")
    camera = pick(rng, CAMERAS[spec.camera])
    if camera:
        text = f"{text}, {camera}" if rng.random() < 0.7 else f"{camera}: {text}"
    return spell(rng, " ".join(text.replace(" ,", ",").split()))


def spell(rng, text):
    """Capitals and full stops as people use them."""
    if rng.random() < 0.3:
        text = text[0].upper() + text[1:]
    return text + "." if rng.random() < 0.25 else text


def reference(rng, spec, evaluation=False):
    """A prompt about the first thing of a clip, which a picture shows."""
    thing = spec.things[0]
    subject = pick(rng, REFERENCES).format(c=pick(rng, COLOURS[thing.colour]), s=pick(rng, SHAPES[thing.shape]))
    return caption(rng, spec, evaluation, subject)


def change(rng, spec, kind=None, want_unseen=None):
    """Draws a change of a clip: the changed spec, and whether its colour, its shape or its place is another."""
    thing = spec.things[0]
    while True:
        which = kind or pick(rng, ["colour", "shape", "place"])
        new = spec
        if which == "colour":
            new = spec.with_thing(colour=pick(rng, [c for c in world.COLOURS if c != thing.colour]))
        elif which == "shape":
            new = spec.with_thing(shape=pick(rng, [s for s in world.SHAPES if s != thing.shape]))
        else:
            new = spec.replace(background=pick(rng, [b for b in world.BACKGROUNDS[:10] if b != spec.background]))
        t = new.things[0]
        if any(o.colour in world.HIDDEN.get(new.background, []) for o in new.things):
            continue
        if t.motion == "spin" and t.shape in world.ROUND:
            continue
        if want_unseen is None or which == "place" or world.unseen(t.colour, t.shape, t.motion) == want_unseen:
            return new, which


def instruct(rng, spec, new, which, evaluation=False):
    """Words for a change."""
    t = new.things[0]
    texts = {"colour": COLOUR_EDITS, "shape": SHAPE_EDITS, "place": PLACE_EDITS}[which]
    if evaluation:
        texts = EDIT_EVALUATION[which]
    s = pick(rng, SHAPES[spec.things[0].shape])
    text = pick(rng, texts).format(c=pick(rng, COLOURS[t.colour]), s=s, a=article(pick(rng, SHAPES[t.shape])),
                                   w=pick(rng, BACKGROUNDS[new.background]))  # fmt: skip
    if which == "place" and not evaluation and rng.random() < 0.3:
        text = SHORT_PLACES[new.background]
    return spell(rng, text)


# ---- what texts ask for, as numbers ----------------------------------------------------------------------------

HEADS = {
    "colour": ["none", *world.COLOURS], "shape": ["none", *world.SHAPES], "size": ["none", *world.SIZES],
    "motion": ["none", *world.MOTIONS], "background": ["none", *world.BACKGROUNDS], "camera": ["none", *world.CAMERAS],
    "other_colour": ["none", *world.COLOURS], "other_shape": ["none", *world.SHAPES],
    "task": ["caption", "reference", "edit"],
}  # fmt: skip


def attributes(spec, task="caption", which=None):
    """The class of each head; `none` where the text does not say, as far as its kind tells."""
    thing = spec.things[0]
    said = dict(colour=thing.colour, shape=thing.shape, size=thing.size, motion=thing.motion,
                background=spec.background, camera=spec.camera)  # fmt: skip
    if len(spec.things) > 1:
        said |= dict(other_colour=spec.things[1].colour, other_shape=spec.things[1].shape)
    if thing.motion in ("grow", "shrink"):
        said.pop("size")
    if task == "reference":
        for key in ("colour", "shape", "size"):
            said.pop(key, None)
    if task == "edit":
        key = {"colour": "colour", "shape": "shape", "place": "background"}[which]
        said = {key: said[key]}
    return [HEADS[h].index(said.get(h, "none") if h != "task" else task) for h in HEADS]
