"""The README is the site's home: written once, read on both.

On a code host the README stands above `docs/`, on the site it is its first page. So its
links lose the `docs/`, and links of pages to the README lead home.
"""

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the README as the home page."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    content = readme.replace("](docs/", "](")
    files.append(File.generated(config, "index.md", content=content))
    return files


def on_page_markdown(
    markdown: str, *, page: Page, config: MkDocsConfig, files: Files
) -> str:
    """Lead links to the README home."""
    del config, files
    up = "../" * page.file.src_uri.count("/")
    return markdown.replace(f"]({up}../README.md", f"]({up}index.md")
