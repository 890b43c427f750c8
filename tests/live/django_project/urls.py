"""The project's URLs."""

from django.urls import include, path, re_path
from django_project import views

urlpatterns = [
    path("echo/", views.echo, name="echo"),
    path("echo/<path:rest>", views.echo),
    path("async/", views.asynchronous, name="async"),
    path("stream/<str:kind>/", views.stream, name="stream"),
    path("file/", views.file, name="file"),
    path("upload/", views.upload, name="upload"),
    path("form/", views.form, name="form"),
    path("cookies/", views.cookies),
    path("fails/", views.fails),
    path("login/", views.log_in, name="login"),
    path("me/", views.me, name="me"),
    path("write/", views.write),
    path("signals/", views.signals_seen),
    path("alive/", views.alive),
    path(
        "reports/",
        include(([path("<int:pk>/", views.echo, name="detail")], "reports"), namespace="reports"),
    ),
    re_path(r"^archive/(?P<year>[0-9]{4})/$", views.echo, name="archive"),
]
