"""The way in: the first page, signing in, and where each role lands."""

from django.contrib.auth.views import LoginView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache

from portal.roles import roles_of


@never_cache
def home(request: HttpRequest) -> HttpResponse:
    """Send somebody with one page to it; show the others what there is."""
    roles = roles_of(request.user)
    pages = roles.pages()
    if len(pages) == 1:
        return redirect(pages[0])
    return render(request, "portal/home.html", {"roles": roles, "pages": pages})


class SignIn(LoginView):
    """User name and password; afterwards the page that was asked for, or the role's own."""

    template_name = "portal/login.html"
    redirect_authenticated_user = True
