"""`Runner`: what runs share, and everything that can be done with it."""

import asyncio
import uuid
from collections.abc import Iterable, Mapping
from typing import Self

from dpa_async.batch import Batch
from dpa_async.callbacks import CallbackReceiver
from dpa_async.checks import check_choice, check_number, check_type, refuse
from dpa_async.client import DPAClient
from dpa_async.errors import ConfigurationError, DPAError
from dpa_async.events import Announcer, Observer
from dpa_async.evidence import Evidence
from dpa_async.journal import Entry, Journal
from dpa_async.listing import Listing
from dpa_async.models import RunRef, RunRequest, RunResult, Submission
from dpa_async.open_runs import OpenRuns, check_same
from dpa_async.order import IfBusy, OnUncertain, Order, Place, Start, copied
from dpa_async.run import Run
from dpa_async.sharing import Closeable, Owner
from dpa_async.starter import Starter
from dpa_async.submission import Submitter
from dpa_async.surroundings import Surroundings
from dpa_async.sync_window import SyncWindow
from dpa_async.waiting import Lists, Sweep, WaitPolicy, Watch

_DEFAULT_POLICY = WaitPolicy()


class Runner:
    """What runs share: lanes, one wait per run, observers; an async context manager.

    All that goes through one runner behaves as one client of the platform: a workflow
    is run once at a time, in the order of the calls, and workflows in parallel.

    Args:
        client: The platform.
        wait: When runs are looked at.
        callbacks: Where the platform calls back when a run is over, which is then
            looked at; and what tells of an execute whose answer is lost. Entered or
            mounted before, and closed by whoever made it.
        journal: Where intents are written before anything is sent, then runs and
            results: with one, a key is run once for good. Entered before, and closed
            by whoever made it.
        observers: Called with each `RunEvent`, on the event loop.

    Attributes:
        client: The platform, as given.
    """

    def __init__(
        self,
        client: DPAClient,
        *,
        wait: WaitPolicy = _DEFAULT_POLICY,
        callbacks: CallbackReceiver | None = None,
        journal: Journal | None = None,
        observers: Iterable[Observer] = (),
    ) -> None:
        check_type("client", client, DPAClient)
        check_type("wait", wait, WaitPolicy)
        check_type("callbacks", callbacks, CallbackReceiver | None)
        self.client = client
        self._journal = journal
        self._owner = owner = Owner()
        announce = Announcer(observers)
        at_once = client.settings.limits.reads_in_flight
        here = Surroundings(
            client=client,
            watch=Watch(owner, wait, at_once=at_once),
            announce=announce,
            owner=owner,
            journal=journal,
            has_alarms=callbacks is not None,
        )
        lists = Lists(client)
        listing = Listing(lists, wait, owner)
        self._watch = here.watch
        here.watch.learned.keep_in(journal, client.settings.base_url)
        _ = Sweep(here.watch, lists, owner)
        self._runs = OpenRuns(here, journal)
        self._evidence = Evidence(
            client,
            wait,
            listing,
            owner,
            is_bound=self._runs.is_bound,
            adopt=self._adopt,
            callbacks=callbacks,
        )
        window = SyncWindow(self._watch.learned, wait, client.settings.limits)
        self._submitter = Submitter(
            client, self._evidence, listing, announce, journal, window
        )
        self._starter = Starter(here, self._runs, self._submitter, listing)
        self._dependants: list[Closeable] = []
        client.adopt(self)

    async def __aenter__(self) -> Self:
        """Use it in `async with`, so that it leaves nothing behind."""
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    @property
    def closed(self) -> bool:
        """Whether it is closed, or being closed: it starts nothing any more."""
        return self._owner.closed

    @property
    def open_runs(self) -> tuple[RunRef, ...]:
        """The runs that were started or attached to, and not yet seen to be over."""
        return tuple(self._runs)

    async def start(
        self,
        workflow_id: str,
        params: Mapping[str, object] | None = None,
        *,
        if_busy: IfBusy = "queue",
        key: str | None = None,
        timeout: float | None = None,
        validate: bool = False,
        outputs: bool = True,
        on_uncertain: OnUncertain = "report",
    ) -> Run:
        """Start a run of a workflow, once, when the workflow is free.

        If the caller is cancelled while the POST is out, the runner still finishes it,
        and the run is among `open_runs`. With a journal, a key that is in it is not
        executed again: it gives the run that there is, or was. Rests on interface 3;
        where the platform says busy, on 6; with callbacks, on 5.

        Args:
            workflow_id: Which workflow.
            params: Its parameters by name.
            if_busy: Whether a busy workflow is waited for or raises.
            key: The caller's own id of this start; unique within a journal.
            timeout: Seconds until the run has to be started; None: no limit.
            validate: Whether the parameters' names are compared with those that the
                workflow takes, before it is executed.
            outputs: Whether outputs are read when it ends.
            on_uncertain: What to do where the answer is lost. "report" raises, with
                callbacks once the workflow was idle for 10 s without one; "wait" waits
                for a callback, or for a person's `settle`, until the deadline;
                "rerun", for a workflow that may run twice without harm, executes again
                where "report" would raise.

        Raises:
            ConfigurationError: Nothing was sent: an argument cannot be right, the
                runner is closed, or the key is journaled for another request.
            JournalError: The journal cannot be written or read. With `ref`: the run
                goes on, only that could not be written down; else nothing was started.
            WorkflowBusyError: It is busy, and `if_busy` is "fail".
            NotStartedError: The deadline came first; nothing was started.
            SubmissionUncertainError: The POST left and its fate is not known: a run may
                have been started.
            SubmissionError: The runner was closed first; nothing was started.
            APIError: The platform refused; nothing was started.
            TransportError: The platform cannot be reached; nothing was started.
            UnexpectedResponseError: Another workflow was started, see `ref`; or the
                request was turned away.
        """
        check_choice("if_busy", if_busy, "queue", "fail")
        check_choice("on_uncertain", on_uncertain, "report", "wait", "rerun")
        order = self.order(
            RunRequest(workflow_id, params, key=key, timeout=timeout),
            if_busy=if_busy,
            validate=validate,
            outputs=outputs,
            on_uncertain=on_uncertain,
        )
        start = await self.begin(order, timeout)
        if isinstance(start, DPAError):
            raise start
        return start

    def order(
        self,
        request: RunRequest,
        *,
        if_busy: IfBusy = "queue",
        validate: bool = False,
        outputs: bool = True,
        on_uncertain: OnUncertain = "report",
        retry_failed: bool = False,
        place: Place | None = None,
        source: object = None,
    ) -> Order:
        """Write down what is meant, checked as far as it can be; sends nothing.

        Raises:
            ConfigurationError: Something cannot be right, or the runner is closed.
        """
        self._check_open()
        if request.timeout is not None:
            check_number("timeout", request.timeout, least=0)
        if request.key is not None:
            check_type("key", request.key, str)
        params = request.params
        return Order(
            submission=self._intent(request.workflow_id, params, request.key),
            # What is meant now, whatever becomes of the caller's mapping.
            params=None if params is None else copied(params),
            if_busy=if_busy,
            validate=validate,
            outputs=outputs,
            on_uncertain=on_uncertain,
            retry_failed=retry_failed,
            place=place,
            source=source,
        )

    def begin(
        self, order: Order, timeout: float | None = None
    ) -> "asyncio.Future[Start]":
        """Carry out an order; gives a future of a run, or of why there is none.

        Cancelling the future gives the order up; a POST that is out is finished.
        """
        return self._starter.begin(order, timeout)

    def finished(
        self, request: RunRequest, *, retry_failed: bool = False
    ) -> RunResult | None:
        """Give the result of a request whose key is journaled as finished.

        Raises:
            ConfigurationError: The key is no text.
            JournalError: The journal cannot be read.
        """
        return self._runs.finished(request, retry_failed=retry_failed)

    def attach(self, ref: RunRef | str) -> Run:
        """Take up a run that was started before, here or elsewhere.

        The same reference gives the same `Run`, as long as somebody has it and it is
        not over. Nothing waits for it but who asks: a reference is anybody's word.

        Raises:
            ConfigurationError: It is no reference, or of another platform; or the
                runner is closed.
        """
        self._check_open()
        if isinstance(ref, str):
            ref = _parse(ref)
        self.client.check_origin(ref)
        return self._runs.attach(ref)

    async def resolve(self, submission: Submission) -> Run | None:
        """Ask again about a submission whose answer was lost; its run, or None.

        With callbacks it waits while the workflow is busy, and then 10 s: a callback
        with the submission's nonce proves that it ran. A journal knows of runs that
        were found meanwhile. Rests on interfaces 4, 5 and 6; starts nothing.

        Raises:
            ConfigurationError: It is another platform's, or the runner is closed.
            JournalError: The journal cannot be read or written.
        """
        entry = self._entry(submission)
        run = None if entry is None else self._runs.of_entry(entry)
        if run is not None:
            return run
        ref = await self._submitter.find(submission)
        return None if ref is None else await self._adopt(submission, ref)

    async def settle(self, submission: Submission, *, ran: RunRef | None) -> None:
        """Take a person's verdict on a submission whose answer was lost.

        Args:
            submission: Which one: `error.submission`, or `Submission.parse(text)`.
            ran: The run that it became: the platform is asked whether it knows it. None
                means that it did not run: its key is free again, and whoever waits for
                it with `on_uncertain="wait"` executes it again.

        Raises:
            ConfigurationError: It is another platform's or workflow's, or the runner is
                closed.
            JournalError: The journal cannot be read or written, or has its run.
            APIError: The platform does not know that run.
            TransportError: The platform cannot be asked.
            UnexpectedResponseError: Something else answered.
        """
        entry = self._entry(submission)
        if ran is None:
            await self._submitter.did_not_run(submission)
            return
        check_type("ran", ran, RunRef)
        self.client.check_origin(ran)
        if ran.workflow_id != submission.workflow_id:
            refuse(
                "ran", f"is of workflow {ran.workflow_id!r}, not of the submission's"
            )
        _ = await self.client.get_run_status(ran)
        if entry is None or entry.ref != ran:
            _ = await self._adopt(submission, ran)
        self._submitter.did_run(submission, ran)

    def resume(self) -> Batch:
        """Go on with what the journal holds unfinished; gives it as a batch.

        What runs is attached to, what is uncertain is resolved or reported. Nothing is
        executed that may have been executed before.

        Raises:
            ConfigurationError: There is no journal, or the runner is closed.
            JournalError: The journal cannot be read.
        """
        self._check_open()
        if self._journal is None:
            refuse("the runner", "has no journal: make it with `journal=`")
        unfinished = (
            RunRequest(
                entry.submission.workflow_id, entry.params, key=entry.submission.key
            )
            for entry in self._journal.unfinished()
        )
        return Batch(lambda: self, unfinished, concurrency=1_000_000)  # all of it

    def adopt(self, dependant: Closeable) -> None:
        """Close something, once, before this runner is closed."""
        self._dependants.append(dependant)

    def release(self, dependant: Closeable) -> None:
        """Forget something that was adopted and has ended by itself."""
        if dependant in self._dependants:
            self._dependants.remove(dependant)

    async def aclose(self) -> None:
        """Stop starting, finish POSTs that are out, detach from all runs.

        An execute that is out has 5 s, beyond what its answer is held (`sync_wait`).

        The runs themselves go on. Idempotent; raises nothing.
        """
        self._owner.closed = True
        while self._dependants:
            await self._dependants[-1].aclose()
        self._watch.close()
        await self._starter.close()
        self._evidence.close()
        self._runs.close()
        self.client.release(self)

    def _check_open(self) -> None:
        if self._owner.closed:
            msg = "the runner is closed: make a new one"
            raise ConfigurationError(msg)

    def _intent(
        self, workflow_id: str, params: Mapping[str, object] | None, key: str | None
    ) -> Submission:
        """Check what can be before anything is sent, and write down what is meant."""
        self.client.settings.execute_url(workflow_id)
        try:
            digest = Submission.digest(params)
        except (ValueError, TypeError, RecursionError) as error:
            problem = str(error)
        else:
            origin = self.client.settings.base_url
            return Submission(origin, key or uuid.uuid4().hex, workflow_id, digest)
        msg = f"params of workflow {workflow_id!r} cannot be sent as JSON: {problem}"
        raise ConfigurationError(msg)

    def _entry(self, submission: Submission) -> Entry | None:
        """See that a submission is ours, and give what is journaled of it."""
        self._check_open()
        check_type("submission", submission, Submission)
        if submission.origin != self.client.settings.base_url:
            ours = self.client.settings.base_url
            refuse("submission", f"is of {submission.origin}, not of {ours}")
        if self._journal is None:
            return None
        entry = self._journal.find(submission.key)
        if entry is not None:
            check_same(entry, submission)
        return entry

    async def _adopt(self, submission: Submission, ref: RunRef) -> Run:
        """Make a found run the submission's."""
        run = self._runs.adopt(ref)
        if self._journal is not None:
            await self._journal.started(submission.key, ref, submission.sent_at)
        run.belongs_to(submission.key, submission.sent_at)
        return run


def _parse(text: str) -> RunRef:
    try:
        return RunRef.parse(text)
    except ValueError as error:
        problem = str(error)
    raise ConfigurationError(problem)
