"""Flows and machines that turn a message into HTTP requests, and what comes back into an answer.

One for each way of speaking to a server, the search for the right one, and what all of them send through.  Machines may
import state, types, rules, codecs and what all of the core uses, but no verb.
"""
