"""The project's own URLs."""

from django.contrib import admin
from django.urls import include, path

from mysite import views

reports = [path("<int:pk>/", views.report, name="detail")]

urlpatterns = [
    path("admin/", admin.site.urls),
    path("api/reports/", include((reports, "reports"))),
    path("api/partners/<path:rest>", views.partner),
    path("api/me/", views.me),
    path("about/", views.about, name="about"),
    path("slow/", views.slow),
    path("new/", views.about),
    path("upload/", views.upload),
]
