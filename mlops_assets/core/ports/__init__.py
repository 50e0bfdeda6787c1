"""What the lifecycle needs of the outside world, as small protocols; `wiring` chooses who fills them.

Every effect here is idempotent under its key: at-least-once is assumed everywhere.
"""
