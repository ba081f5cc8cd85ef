"""Every error that is raised on purpose; its docstring is the sentence the user reads when none was given.

ConciergeError                     exit code 2 unless a class says otherwise
├── UsageError                     the command, an option or a setting is wrong
│   └── SettingsError
├── ProvidersFileError             the providers file cannot be used as a whole
├── RequestFileError               the service request's file cannot be used
├── PhoneError                     one number cannot be called
├── OutputError                    the document has nowhere to go
├── JournalError                   the record of the runs cannot be used
│   ├── JournalFull
│   ├── IllegalTransition          a bug: exit code 1
│   ├── NoSuchRun
│   ├── KeyInUse
│   └── RunLocked
├── BackendUnreachable             nobody could be asked before the first dial
├── ReadFailed                     a question was not answered; it may be asked again
│   └── ReadRefused                a question was answered with no
├── RunRefused                     exit code 4: the account, the key, the number, the assistant or our request
├── NobodyDialled                  the run was told to stop before its first dial
├── RunInterrupted                 exit code 5
├── KestraError                    Kestra, as the way that a run's calls go
│   ├── KestraUnreachable          it was not answered; nothing is known of what became of it
│   ├── KestraRefused              it was answered with no
│   ├── KestraNotStarted           certainly no execution was started, so nobody is called
│   └── KestraInDoubt              exit code 5: an execution may have been started
└── PlacementError                 one call was not placed, or may not have been
    ├── NumberRefused              certainly nobody's phone rang, and it is this number's own fault
    ├── AccountRefused             certainly nobody's phone rang, and every other call would end so
    ├── ComeBackLater              certainly nobody's phone rang; the same call may be placed later
    └── PlacementInDoubt           the phone may have rung
        └── PlacementInterrupted   our own process ended before the reply came
"""

from __future__ import annotations


class ConciergeError(Exception):
    """Something went wrong that concierge-calls has no better sentence for."""

    exit_code = 2

    def __init__(self, message: str | None = None) -> None:
        """Take the sentence for the user; the class's own docstring stands in for a missing one."""
        super().__init__(message or (type(self).__doc__ or "").strip())

    @property
    def message(self) -> str:
        """The sentence for the user."""
        return str(self.args[0])


class UsageError(ConciergeError):
    """The command was not used as it can be; see concierge-calls --help."""


class SettingsError(UsageError):
    """A setting is missing or wrong; see .env.example for all of them."""


class ProvidersFileError(ConciergeError):
    """The providers file cannot be read; it must be CSV, TSV, JSON or JSON lines with a name and a phone number."""


class RequestFileError(ConciergeError):
    """The request file cannot be read; it must be TOML or JSON with the fields of a service request."""


class PhoneError(ConciergeError):
    """This is not a phone number that can be called."""

    def __init__(self, message: str | None = None, code: str = "bad_phone") -> None:
        """Take the sentence, and the reason's code as it stands in the document."""
        super().__init__(message)
        self.code = code


class OutputError(ConciergeError):
    """The document cannot be written there; choose another place with --output."""


class JournalError(ConciergeError):
    """The journal of runs cannot be used; set CONCIERGE_STATE_DIR to a folder that can be written."""


class JournalFull(JournalError):
    """The disk that holds the journal is full; free some room, then continue with: concierge-calls resume."""


class IllegalTransition(JournalError):
    """A call did not stand where the journal expected it; this is a bug, please report it."""

    exit_code = 1


class NoSuchRun(JournalError):
    """There is no such run in the journal; see: concierge-calls runs."""


class KeyInUse(JournalError):
    """A run is being started for this Idempotency-Key elsewhere; send the same request again in a moment."""


class RunLocked(JournalError):
    """This run is being worked on by another process; wait until that one ends."""


class BackendUnreachable(ConciergeError):
    """Vapi is out of reach, so nobody was dialled; check the network, then run the same command again."""


class ReadFailed(ConciergeError):
    """Vapi could not be asked just now; it is asked again."""


class ReadRefused(ReadFailed):
    """Vapi refused to answer; check the key and what it may see."""

    def __init__(self, message: str | None = None, status: int = 0) -> None:
        """Take the sentence and the HTTP status of the refusal."""
        super().__init__(message)
        self.status = status


class RunRefused(ConciergeError):
    """Vapi refused the account or the request, so nobody else was dialled; mend it, then: concierge-calls resume."""

    exit_code = 4


class NobodyDialled(ConciergeError):
    """Interrupted before the first dial: nobody was dialled, and no run is kept."""


class RunInterrupted(ConciergeError):
    """The run was interrupted; finish it with: concierge-calls resume."""

    exit_code = 5


class KestraError(ConciergeError):
    """Kestra cannot take the run; see: concierge-calls kestra check."""


class KestraUnreachable(KestraError):
    """Kestra is out of reach; check the network and KESTRA_URL, then run the same command again."""


class KestraRefused(KestraError):
    """Kestra refused what it was asked for; see what is missing with: concierge-calls kestra check."""

    def __init__(self, message: str | None = None, status: int = 0) -> None:
        """Take the sentence and the HTTP status of the refusal, 0 where the answer itself is none that can be used."""
        super().__init__(message)
        self.status = status

    @property
    def is_about_credentials(self) -> bool:
        """Whether the credentials were not accepted, or have no right to what was asked for."""
        return self.status in (401, 403)


class KestraNotStarted(KestraError):
    """Kestra did not start the run, so nobody is called; mend what is in the way, then run the same command again."""


class KestraInDoubt(KestraError):
    """Kestra's reply was lost, so it may have started the run; look for it with: concierge-calls resume."""

    exit_code = 5


class PlacementError(ConciergeError):
    """The call could not be placed."""

    def __init__(self, message: str | None = None, code: str = "not_placed") -> None:
        """Take the sentence, and the code of `error` in the document."""
        super().__init__(message)
        self.code = code


class NumberRefused(PlacementError):
    """Vapi refused this number; nobody's phone rang. Check the number in the providers file."""


class AccountRefused(PlacementError):
    """Vapi refused the account, the key, the phone number, the assistant or our request; nobody's phone rang."""


class ComeBackLater(PlacementError):
    """The call could not be placed just now, and nobody's phone rang; it is tried again."""

    def __init__(self, message: str | None = None, code: str = "later", retry_after: float | None = None) -> None:
        """Take the sentence, its code, and how many seconds to wait, when that was said."""
        super().__init__(message, code)
        self.retry_after = retry_after


class PlacementInDoubt(PlacementError):
    """The reply to the request was lost, so the phone may have rung; it is not dialled again by itself."""


class PlacementInterrupted(PlacementInDoubt):
    """The program ended before Vapi's reply came, so the phone may have rung; it is not dialled again by itself."""

    def __init__(self) -> None:
        """Take nothing: there is one sentence for it."""
        super().__init__(code="interrupted")
