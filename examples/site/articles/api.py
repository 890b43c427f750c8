"""The site's api. Who may use what is in bolt.yaml."""

import datetime
import os
from typing import Annotated

import jwt
import msgspec
from django.contrib.auth import authenticate
from django.db import transaction
from django.shortcuts import get_object_or_404

from articles.models import Article, Author, Comment
from pybolt import JSON, BoltAPI, HTTPError, Query

api = BoltAPI()

FIELDS = ("id", "title", "author__name", "published")


class Credentials(msgspec.Struct):
    username: str
    password: str


class NewArticle(msgspec.Struct, forbid_unknown_fields=True):
    title: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    text: str


class NewComment(msgspec.Struct, forbid_unknown_fields=True):
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    text: Annotated[str, msgspec.Meta(min_length=1)]


@api.post("/login")
def login(request, body: Credentials):
    """A token for one of Django's users."""
    user = authenticate(username=body.username, password=body.password)
    if user is None:
        raise HTTPError(401, "wrong name or password", headers={"www-authenticate": "Bearer"})
    scopes = ["articles:write"] if Author.objects.filter(user=user).exists() else []
    now = datetime.datetime.now(datetime.UTC)
    claims = {
        "sub": str(user.pk),
        "aud": "site",
        "iat": now,
        "exp": now + datetime.timedelta(hours=1),
        "scope": " ".join(scopes),
        "roles": ["staff"] if user.is_staff else [],
    }
    return {"token": jwt.encode(claims, os.environ["JWT_SECRET"], algorithm="HS256")}


@api.get("/articles")
def list_articles(request, author: str | None = None, limit: Annotated[int, Query()] = 20):
    articles = Article.objects.values(*FIELDS)
    if author is not None:
        articles = articles.filter(author__name=author)
    return articles[: max(1, min(limit, 100))]


@api.get("/articles/{article_id}")
async def read_article(request, article_id: int):
    article = await Article.objects.values(*FIELDS, "text").filter(pk=article_id).afirst()
    if article is None:
        raise HTTPError(404, "no such article")
    comments = Comment.objects.filter(article_id=article_id).values("name", "text", "written")
    return article | {"comments": [comment async for comment in comments]}


@api.post("/articles")
def write_article(request, body: NewArticle):
    author = get_object_or_404(Author, user_id=request.principal.id)
    article = Article.objects.create(author=author, title=body.title, text=body.text)
    return JSON({"id": article.pk}, status=201, headers={"location": f"/articles/{article.pk}"})


@api.post("/articles/{article_id}/comments")
def comment(request, article_id: int, body: NewComment):
    with transaction.atomic():
        article = get_object_or_404(Article, pk=article_id)
        made = Comment.objects.create(article=article, name=body.name, text=body.text)
    return 201, {"id": made.pk}


@api.delete("/articles/{article_id}")
def remove_article(request, article_id: int):
    get_object_or_404(Article, pk=article_id).delete()
