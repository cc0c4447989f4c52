"""The platform's words, without I/O: a builder per request, a reader per answer.

Every quirk of the platform's document is in here, and nowhere else. Requests are made
from settings, a token and plain arguments; a reader takes a request and its reply, and
gives a model or raises one of the library's errors.
"""
