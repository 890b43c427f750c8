"""What may be edited in the admin."""

from django.contrib import admin

from articles.models import Article, Author, Comment

admin.site.register([Article, Author, Comment])
