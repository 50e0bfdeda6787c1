"""Questions to people and their one answer."""

import builtins

import sqlalchemy as sa

from mlops_assets.adapters.database.engine import Database
from mlops_assets.adapters.database.tables import reviews
from mlops_assets.core.errors import NotFound, Refused
from mlops_assets.core.ports.accountability import Review
from mlops_assets.core.records.decision import ReviewAnswer


class SqlReviews:
    """Fills `Reviews`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def ask(self, review: Review) -> Review:
        """Store a question; a decision that was asked about already keeps its first question and its answer."""
        with self._database.write() as connection:
            found = _find(connection, review.decision_id)
            if found is not None:
                return found
            answer = None if review.answer is None else review.answer.canonical_json()
            connection.execute(reviews.insert().values(**review.model_dump(exclude={"answer"}), answer=answer))
            return review

    def get(self, decision_id: str) -> Review:
        """Return a review; NotFound lists the open ones."""
        with self._database.read() as connection:
            found = _find(connection, decision_id)
        return found or self._not_found(decision_id)

    def answer(self, decision_id: str, answer: ReviewAnswer) -> Review:
        """Store the answer; the first wins.

        The same verdict, reviewer and reason again change nothing; anything else raises Refused.
        """
        with self._database.write() as connection:
            found = _find(connection, decision_id)
            if found is not None and found.answer is None:
                body = answer.canonical_json()
                connection.execute(reviews.update().where(reviews.c.decision_id == decision_id).values(answer=body))
                return found.model_copy(update={"answer": answer})
        if found is None or found.answer is None:
            return self._not_found(decision_id)
        if _said(found.answer) != _said(answer):
            given = found.answer
            raise Refused(
                f"{given.reviewer} {'approved' if given.approve else 'rejected'} decision {decision_id} "
                f"at {given.answered_at}: {given.reason.rstrip('.')}.",
                "The first answer stands.",
            )
        return found

    def list(self, line: str | None = None, open_only: bool = False) -> builtins.list[Review]:
        """Return reviews, oldest first."""
        query = sa.select(reviews).order_by(reviews.c.id)
        if line is not None:
            query = query.where(reviews.c.line == line)
        if open_only:
            query = query.where(reviews.c.answer.is_(None))
        with self._database.read() as connection:
            return [_review(row) for row in connection.execute(query)]

    def _not_found(self, decision_id: str) -> Review:
        waiting = ", ".join(review.decision_id for review in self.list(open_only=True))
        raise NotFound(
            f"No review was asked for decision {decision_id}.",
            f"Waiting for an answer: {waiting}." if waiting else "Nothing waits for an answer.",
        )


def _find(connection: sa.Connection, decision_id: str) -> Review | None:
    row = connection.execute(sa.select(reviews).where(reviews.c.decision_id == decision_id)).one_or_none()
    return None if row is None else _review(row)


def _review(row: sa.Row) -> Review:
    fields = dict(row._mapping)
    del fields["id"]
    answer = None if row.answer is None else ReviewAnswer.parse(row.answer)
    return Review.model_validate({**fields, "answer": answer})


def _said(answer: ReviewAnswer) -> tuple[bool, str, str]:
    return answer.approve, answer.reviewer, answer.reason
