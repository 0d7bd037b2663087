// The body of a function of gradio's HTML component: songs side by side, each with its waveform. A click on a waveform moves
// the playhead, a drag selects a stretch. props.value goes both ways: {songs, chosen} come in, {chosen, at, begin, end} go out.
const takes = element.querySelector(".takes");
const stretch = element.querySelector(".stretch");
const [from, to] = stretch.querySelectorAll("input");
const cards = new Map();
let chosen = null, begin = null, end = null;

function publish() {
  const audio = cards.get(chosen)?.audio;
  props.value = { ...props.value, chosen, at: audio ? audio.currentTime : 0, begin, end };
}

function select(first, last) {
  [begin, end] = first === null || first === last ? [null, null] : [Math.min(first, last), Math.max(first, last)];
  from.value = begin === null ? "" : begin.toFixed(2);
  to.value = end === null ? "" : end.toFixed(2);
  cards.forEach(draw);
  publish();
}

function make(song) {
  const card = { song, root: document.createElement("section") };
  card.root.className = "take";
  card.root.innerHTML =
    '<h3><button type="button"></button></h3><p></p><canvas aria-hidden="true"></canvas>' +
    '<audio controls preload="metadata"></audio>';
  [card.button, card.note, card.canvas, card.audio] = ["button", "p", "canvas", "audio"].map((tag) =>
    card.root.querySelector(tag)
  );
  const choose = () => {
    if (song.name === chosen) return;
    chosen = song.name; // at once: what is selected now is of this song
    select(null, null);
    cards.forEach((other) => update(other, other.song));
    trigger("choose", { name: chosen });
  };
  card.button.addEventListener("click", choose);
  card.audio.addEventListener("play", () => {
    cards.forEach((other) => other !== card && other.audio.pause());
    choose();
  });
  for (const moved of ["timeupdate", "seeked"])
    card.audio.addEventListener(moved, () => (draw(card), song.name === chosen && publish()));
  let pressed = null;
  const moment = (event) => {
    const box = card.canvas.getBoundingClientRect();
    return Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1) * card.song.seconds;
  };
  card.canvas.addEventListener("pointerdown", (event) => {
    choose();
    pressed = { at: moment(event), x: event.clientX, dragged: false };
    card.canvas.setPointerCapture(event.pointerId);
  });
  card.canvas.addEventListener("pointermove", (event) => {
    if (!pressed || (!pressed.dragged && Math.abs(event.clientX - pressed.x) < 5)) return;
    pressed.dragged = true;
    select(pressed.at, moment(event));
  });
  card.canvas.addEventListener("pointerup", (event) => {
    if (pressed?.dragged) trigger("stretched");
    else if (pressed) (card.audio.currentTime = moment(event)), publish();
    pressed = null;
  });
  new ResizeObserver(() => draw(card)).observe(card.canvas);
  return card;
}

function draw(card) {
  const { canvas, song } = card;
  const ratio = window.devicePixelRatio || 1;
  const width = (canvas.width = canvas.clientWidth * ratio), height = (canvas.height = canvas.clientHeight * ratio);
  const paint = canvas.getContext("2d"), style = getComputedStyle(canvas);
  const x = (seconds) => (song.seconds ? (seconds / song.seconds) * width : 0);
  if (song.name === chosen && begin !== null) {
    paint.fillStyle = style.getPropertyValue("--stretch");
    paint.fillRect(x(begin), 0, x(end) - x(begin), height);
  }
  const played = x(card.audio.currentTime), bar = width / Math.max(song.peaks.length, 1);
  song.peaks.forEach((peak, i) => {
    paint.fillStyle = style.getPropertyValue(i * bar < played ? "--played" : "--unplayed");
    const tall = Math.max((peak / 100) * height * 0.9, ratio);
    paint.fillRect(i * bar, (height - tall) / 2, Math.max(bar * 0.7, 0.5), tall);
  });
  paint.fillStyle = style.getPropertyValue("--playhead");
  if (song.seconds) paint.fillRect(Math.min(played, width - 2 * ratio), 0, 2 * ratio, height);
}

function update(card, song) {
  const alone = cards.size === 1;
  card.song = song;
  card.button.textContent = song.title;
  card.button.setAttribute("aria-pressed", song.name === chosen);
  card.button.disabled = alone;
  card.audio.setAttribute("aria-label", song.title);
  card.note.textContent = song.note;
  card.root.classList.toggle("chosen", !alone && song.name === chosen);
  card.root.classList.toggle("silent", !song.src);
  if (song.src && card.audio.getAttribute("src") !== song.src) {
    const at = card.audio.currentTime, playing = !card.audio.paused; // a song that grows plays on where it was
    card.audio.src = song.src;
    if (at) card.audio.addEventListener("loadedmetadata", () => (card.audio.currentTime = at), { once: true });
    if (playing) card.audio.play();
  }
  draw(card);
}

function show() {
  const value = props.value || {}, songs = value.songs || [];
  if (value.chosen !== chosen) {
    chosen = value.chosen;
    select(value.begin ?? null, value.end ?? null);
  }
  const names = new Set(songs.map((song) => song.name));
  cards.forEach((card, name) => {
    if (names.has(name)) return;
    card.audio.pause();
    card.root.remove();
    cards.delete(name);
  });
  songs.forEach((song, i) => {
    if (!cards.has(song.name)) cards.set(song.name, make(song));
    const card = cards.get(song.name);
    if (takes.children[i] !== card.root) takes.insertBefore(card.root, takes.children[i] || null);
  });
  songs.forEach((song) => update(cards.get(song.name), song));
  stretch.hidden = !songs.some((song) => song.src);
}

const typed = () => {
  const [first, last] = [from, to].map((input) => (input.value === "" ? null : Number(input.value)));
  if (first === null && last === null) select(null, null);
  if (first !== null && last !== null) select(first, last);
  trigger("stretched");
};
from.addEventListener("change", typed);
to.addEventListener("change", typed);
stretch.querySelector("button").addEventListener("click", () => (select(null, null), trigger("stretched")));
watch("value", () => {
  show();
  if (!("at" in props.value)) publish(); // the server does not know it
});
show(); // without `publish`: gradio empties what sets its value while it is made
