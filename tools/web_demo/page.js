'use strict';

// What is shown is written into the address of the page, which can be kept or passed on.
const state = Object.fromEntries(new URLSearchParams(location.search));
const find = (id) => document.getElementById(id);
// How much has to be asked for again.
const MODEL = 0, TRANSLATION = 1, MAPS = 2;
const SMALL = 200; // narrower pictures are enlarged, and their pixels stay visible
let maxBytes = Infinity;
let newest = 0;
let undone = MODEL; // the first step that has not been shown

async function ask(what, keys = [], options = {}) {
  const query = new URLSearchParams(keys.filter((k) => k in state).map((k) => [k, state[k]]));
  let response;
  try {
    response = await fetch(`api/${what}?${query}`, options);
  } catch {
    throw new Error('The server does not answer: is it still running?');
  }
  const found = await response.json();
  if (!response.ok) throw new Error(found.error);
  return found;
}

function option(name) {
  return new Option(name, name);
}

function say(text, error = '') {
  find('status').textContent = text;
  find('error').textContent = error && error[0].toUpperCase() + error.slice(1);
  find('error').hidden = !error;
}

function loaded(image, address) {
  image.src = address;
  return image.decode();
}

// Each step is skipped as soon as the visitor has asked for something else.
async function update(from) {
  const run = ++newest;
  undone = Math.min(undone, from);
  history.replaceState(null, '', `?${new URLSearchParams(state)}`);
  document.body.dataset.state = 'busy';
  try {
    for (const [level, text, get, show] of STEPS) {
      if (level < undone) continue;
      say(text);
      const found = await get();
      if (run !== newest) return;
      await show(found);
      undone = level + 1;
    }
    say(state.picture ? '' : 'Choose a picture');
  } catch (error) {
    if (run !== newest) return;
    say('', error.message);
    // No answer to an earlier question stays beside it.
    if (undone < MAPS) find('result').hidden = true;
    else find('maps').replaceChildren();
  }
  document.body.dataset.state = 'ready';
}

const CHOSEN = ['model', 'picture', 'target', 'style'];
const STEPS = [
  [MODEL, 'Loading the model', () => ask('model', ['model']), showChoices],
  [TRANSLATION, 'Translating', () => state.picture && ask('translation', CHOSEN), showPictures],
  [MAPS, 'Comparing', () => state.picture && 'x' in state && ask('maps', [...CHOSEN, 'x', 'y']),
    showMaps],
];

function showChoices({ targets, styles }) {
  if (!targets.includes(state.target)) delete state.target;
  find('target').replaceChildren(...targets.map(option));
  find('target').value = state.target || targets[0];
  find('target-choice').hidden = targets.length < 2;
  find('style-choice').hidden = !styles;
  find('style').value = state.style || 1;
}

async function showPictures(found) {
  find('result').hidden = !found;
  if (!found) return;
  for (const name of ['source', 'translation']) {
    const image = find(name), { parentElement: frame } = image;
    await loaded(image, found[name]);
    const { naturalWidth: width, naturalHeight: height } = image;
    image.classList.toggle('small', width < SMALL);
    frame.style.setProperty('--ratio', width / height);
    frame.parentElement.querySelector('.size').textContent = `${width} × ${height} pixels`;
  }
  find('download').href = found.translation;
  find('download').download = found.name;
  find('note').textContent = found.note;
  find('note').hidden = !found.note;
  markPoint();
}

async function showMaps(found) {
  const figures = Object.entries(found ? found.layers : {}).map(([layer, address]) => {
    const image = new Image();
    image.alt = `Similarity maps of ${layer}: source and translation`;
    return [image, address];
  });
  await Promise.all(figures.map(([image, address]) => loaded(image, address)));
  find('maps').replaceChildren(...figures.map(([image]) => image));
  find('network').textContent = found ? `Features: ${found.network}.` : '';
}

function markPoint() {
  for (const mark of document.querySelectorAll('.point')) {
    mark.hidden = !('x' in state);
    mark.style.setProperty('--x', state.x);
    mark.style.setProperty('--y', state.y);
  }
}

function choosePoint(event) {
  const box = event.currentTarget.getBoundingClientRect();
  const share = (at, start, length) => Math.min(Math.max((at - start) / length, 0), 0.9999);
  state.x = share(event.clientX, box.left, box.width).toFixed(4);
  state.y = share(event.clientY, box.top, box.height).toFixed(4);
  markPoint();
  update(MAPS);
}

function choosePicture(name) {
  state.picture = name;
  for (const button of find('thumbnails').children) {
    button.setAttribute('aria-pressed', button.dataset.picture === name);
  }
  update(TRANSLATION);
}

function thumbnail(name, title = name) {
  const button = document.createElement('button'), image = new Image();
  button.dataset.picture = name;
  button.title = title;
  button.setAttribute('aria-pressed', name === state.picture);
  image.loading = 'lazy';
  image.alt = title;
  image.src = `api/thumbnail?${new URLSearchParams({ picture: name })}`;
  button.append(image);
  button.addEventListener('click', () => choosePicture(name));
  return button;
}

async function upload(file) {
  if (!file) return;
  if (file.size > maxBytes) {
    say('', `The file is too large: up to ${maxBytes / 1e6} MB are taken.`);
    return;
  }
  const form = new FormData();
  form.append('picture', file, file.name);
  document.body.dataset.state = 'busy';
  say('Uploading');
  try {
    const { picture } = await ask('upload', [], { method: 'POST', body: form });
    const known = [...find('thumbnails').children].some((b) => b.dataset.picture === picture);
    if (!known) find('thumbnails').prepend(thumbnail(picture, file.name));
    choosePicture(picture);
  } catch (error) {
    say('', error.message);
    document.body.dataset.state = 'ready';
  }
}

function listen() {
  find('controls').addEventListener('submit', (event) => event.preventDefault());
  for (const [name, level] of [['model', MODEL], ['target', TRANSLATION], ['style', TRANSLATION]]) {
    find(name).addEventListener('change', () => {
      state[name] = find(name).value;
      update(level);
    });
  }
  find('another').addEventListener('click', () => {
    find('style').value = state.style = Number(find('style').value) + 1;
    update(TRANSLATION);
  });
  for (const frame of document.querySelectorAll('.clickable')) {
    frame.addEventListener('click', choosePoint);
  }
  find('file').addEventListener('change', () => {
    upload(find('file').files[0]);
    find('file').value = ''; // the same file can be chosen again
  });
  document.addEventListener('paste', (event) => upload(event.clipboardData.files[0]));
  document.addEventListener('dragover', (event) => {
    event.preventDefault();
    document.body.classList.add('dragging');
  });
  document.addEventListener('dragleave', () => document.body.classList.remove('dragging'));
  document.addEventListener('drop', (event) => {
    event.preventDefault();
    document.body.classList.remove('dragging');
    upload(event.dataTransfer.files[0]);
  });
}

async function start() {
  try {
    const { models, pictures, left_out, max_bytes } = await ask('choices');
    maxBytes = max_bytes;
    find('model').replaceChildren(...models.map(option));
    state.model = state.model || models[0];
    find('model').value = state.model;
    const shown = state.picture?.startsWith('/uploaded/') ? [state.picture, ...pictures] : pictures;
    find('thumbnails').replaceChildren(...shown.map((name) => thumbnail(name)));
    find('thumbnails').hidden = !shown.length;
    find('left-out').textContent = left_out || '';
    find('left-out').hidden = !left_out;
  } catch (error) {
    say('', error.message);
    document.body.dataset.state = 'ready';
    return;
  }
  listen();
  update(MODEL);
}

start();
