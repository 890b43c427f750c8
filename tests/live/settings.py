"""What the Django projects of the tests have in common; each says what is its own."""

SECRET_KEY = "for-tests-only-" + "x" * 40
USE_TZ = True
#: Users and their sessions, in Django's own order.
APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
