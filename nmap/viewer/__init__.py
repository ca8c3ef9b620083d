"""`nmap view`: a page that decodes `.nmap` files in the browser, served on this machine or as one file to send."""

from __future__ import annotations

from nmap.viewer.marked import marked
from nmap.viewer.page import Contents, Model, exported_page, read_model
from nmap.viewer.server import PageServer

__all__ = ["Contents", "Model", "PageServer", "exported_page", "marked", "read_model"]
