"""Which files in a folder are recordings."""

_NAMES = """
    3g2 3ga 3gp aac ac3 aif aifc aiff alac amr ape asf au avi awb caf dts eac3 f4v flac flv gsm m2ts m4a m4b m4r m4v
    mka mkv mov mp1 mp2 mp3 mp4 mpeg mpg mpga mts oga ogg ogv opus qt ra rf64 rm snd sph spx tak tta vob voc w64 wav
    wave weba webm wma wmv wv
"""
AUDIO_SUFFIXES = frozenset(f".{name}" for name in _NAMES.split())
"""What is taken for a recording in a folder; a file that is named is read whatever it is called."""
