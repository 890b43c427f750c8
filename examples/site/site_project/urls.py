"""The site's pages. Its api is in articles/api.py, and answered before these."""

from articles.views import index
from django.contrib import admin
from django.urls import path

urlpatterns = [
    path("", index, name="index"),
    path("admin/", admin.site.urls),
]
