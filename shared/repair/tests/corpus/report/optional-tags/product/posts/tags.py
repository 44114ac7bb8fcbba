"""Tags of posts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Post:
    """A post."""

    title: str
    tags: list[str] | None = None


def tag_line(post: Post) -> str:
    """Return the tags of a post in one line."""
    return ", ".join(sorted(post.tags))


def page(posts: list[Post]) -> str:
    """Return titles and tags, one post a line."""
    return "\n".join(f"{post.title}: {tag_line(post)}".rstrip(": ") for post in posts)
