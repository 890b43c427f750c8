"""The pages of the site."""

from django.shortcuts import render

from articles.models import Article


def index(request):
    """The newest articles, and who is logged in."""
    articles = Article.objects.select_related("author")[:10]
    return render(request, "articles/index.html", {"articles": articles})
