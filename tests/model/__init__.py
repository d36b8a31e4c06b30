"""A model of who may see what, and random walks of a client through it.

* :mod:`.callers`: on whose behalf calls are made, what is asked, and how a client is set up;
* :mod:`.model`: what was asked and fetched by whom, and what must hold after every step;
* :mod:`.server`: an MCP server as data, and :mod:`.store`, a store that clients share: no sockets, no event loop;
* :mod:`.play`: one operation in progress, driven one command at a time;
* :mod:`.walk`: the steps, and what carries them out, with any number of calls in progress at once;
* :mod:`.held`: whether a client still holds a secret, found by a search through its objects;
* :mod:`.chance`: walks by chance, from a seed, and the shortest walk to a failure.

``python -m tests.model N [SEED]`` walks N steps at random; ``tests/test_model.py`` lets Hypothesis choose the steps.
"""
