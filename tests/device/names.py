"""Package names of every kind that the rules allow, chosen to break a client's URLs, patterns and JSON."""

SCRIPTS = [
    "caméra/größe åß",
    "Ελληνικά/συσκευή",
    "прошивка/датчик",
    "برنامج/ثابت",
    "קושחה/התקן",
    "फर्मवेयर/यन्त्र",
    "เฟิร์มแวร์/อุปกรณ์",
    "固件/更新・装置",
    "펌웨어/장치",
]
SIGNS = [
    "plus+tilde~at@pc%comma,semi;colon:eq=x",
    "caret^dollar$bang!round(a)square[b]curly{c}star*tick'",
    "!bang/!again",
    "[a-z]/[!x]/[",
    "{a,b}/{",
    "+(x)/@(y)/!(z)",
    '&amp;<b>"quoted"|`tick`',
    "*/**",
    "~user/.hidden/...",
    "a  b/ c",
    "-dash/--dash",
    "__proto__",
    "constructor",
]
PERCENT = ["50%/a%41", "%zz/%e9", "%2F/%2f%00/%3F%23", "100%"]
PLAIN = ["app", "a/b/c/d/e/f", "x" * 128, "7"]

NAMES = [*SCRIPTS, *SIGNS, *PERCENT, *PLAIN]
VERSION = "1.0+b~1 é:2"
