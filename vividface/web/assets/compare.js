/* <vividface-compare kind="video|image" before="URL" after="URL">: two videos, or images, over each other.
   The divider is a range input over the whole picture: it moves by mouse, finger and arrow keys. */
const icon = (name, path) => `<svg class="vf-${name}" viewBox="0 0 24 24" aria-hidden="true"><path d="${path}"/></svg>`;
const SPEAKER = "M4 9h4l5-4v14l-5-4H4z";
const ICONS = {
  play: icon("icon-off", "M7 5l12 7-12 7z"),
  pause: icon("icon-on", "M7 5h4v14H7zM13 5h4v14h-4z"),
  on: icon("icon-on", `${SPEAKER}M15.5 8.5a5 5 0 0 1 0 7zM17.5 5.5a9 9 0 0 1 0 13l-1-1.3a7.4 7.4 0 0 0 0-10.4z`),
  off: icon("icon-off", `${SPEAKER}M16 9.4l1.4-1.4 5 6.6-1.4 1.4zM21 8l1.4 1.4-5 6.6-1.4-1.4z`),
};

class VividfaceCompare extends HTMLElement {
  connectedCallback() {
    if (this.firstChild) return;
    const isVideo = this.getAttribute("kind") === "video";
    this.innerHTML = `
      <div class="vf-pictures">
        <div class="vf-before"></div><div class="vf-after"></div>
        <span class="vf-label">Before</span><span class="vf-label vf-right">After</span>
        <i class="vf-divider" aria-hidden="true"></i>
        <input class="vf-slide" type="range" min="0" max="100" step="0.1" value="50"
               aria-label="Divider between before and after">
      </div>`;
    this.before = this.picture(isVideo, "before");
    this.after = this.picture(isVideo, "after");
    const slide = this.querySelector(".vf-slide");
    const move = () => this.style.setProperty("--at", `${slide.value}%`);
    slide.addEventListener("input", move);
    move();
    if (isVideo) this.addControls();
  }

  disconnectedCallback() {
    cancelAnimationFrame(this.frame);
    for (const video of [this.before, this.after]) if (video?.pause) video.pause();
  }

  picture(isVideo, name) {
    const element = document.createElement(isVideo ? "video" : "img");
    if (isVideo) Object.assign(element, { muted: true, playsInline: true, preload: "auto" });
    else element.alt = name;
    element.src = this.getAttribute(name);
    this.querySelector(`.vf-${name}`).append(element);
    return element;
  }

  addControls() {
    const { before, after } = this;
    const bar = document.createElement("div");
    bar.className = "vf-controls";
    bar.innerHTML = `
      <button type="button" class="vf-play" aria-label="Play or pause">${ICONS.play}${ICONS.pause}</button>
      <input class="vf-seek" type="range" min="0" max="1" step="0.001" value="0" aria-label="Position">
      <span class="vf-time"></span>
      <button type="button" class="vf-sound" aria-label="Sound on or off">${ICONS.on}${ICONS.off}</button>`;
    this.append(bar);
    const [play, seek, time, sound] = bar.children;
    const clock = (s) => `${Math.floor(s / 60)}:${String(Math.floor(s % 60)).padStart(2, "0")}`;
    const show = () => {
      const length = after.duration || 0;
      seek.value = length ? after.currentTime / length : 0;
      time.textContent = `${clock(after.currentTime)} / ${clock(length)}`;
      play.dataset.on = !after.paused;
      sound.dataset.on = !after.muted;
    };
    /* The result leads; the input follows it, exactly while both stand still. */
    const follow = () => {
      const apart = Math.abs(before.currentTime - after.currentTime);
      if (apart > (after.paused ? 0.001 : 0.08) && !before.seeking) before.currentTime = after.currentTime;
    };
    const run = () => {
      follow();
      show();
      this.frame = requestAnimationFrame(run);
    };
    const start = () => Promise.all([before.play(), after.play()]).catch(() => {});
    play.addEventListener("click", () => {
      if (after.paused) start();
      else [before, after].forEach((video) => video.pause());
    });
    seek.addEventListener("input", () => {
      after.currentTime = before.currentTime = seek.value * (after.duration || 0);
    });
    sound.addEventListener("click", () => { after.muted = !after.muted; });
    after.addEventListener("ended", () => {
      after.currentTime = before.currentTime = 0;
      start();
    });
    after.addEventListener("canplay", start, { once: true });
    run();
  }
}
if (!customElements.get("vividface-compare")) customElements.define("vividface-compare", VividfaceCompare);
