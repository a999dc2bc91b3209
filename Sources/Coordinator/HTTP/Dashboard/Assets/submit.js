// Turns dropped or chosen photographs into jobs, one after the other.
import { $, all, problem, put } from "./page.js";

export function prepareSubmission() {
  const form = $("#submit");
  if (!form) return;
  let recipes, isMeasuring = true, begin;
  const begun = new Promise((resolve) => { begin = resolve; });
  const take = async (files) => { await begun; submit(files); };
  form.addEventListener("submit", (event) => event.preventDefault());
  const drop = $("#drop");
  $("#files").addEventListener("change", (event) => { take([...event.target.files]); event.target.value = ""; });
  // Accepts files dropped anywhere, also before the recipes are known: the browser would open them instead.
  addEventListener("dragover", (event) => { event.preventDefault(); drop.classList.add("over"); });
  addEventListener("dragleave", (event) => { if (event.relatedTarget === null) drop.classList.remove("over"); });
  addEventListener("drop", (event) => { event.preventDefault(); drop.classList.remove("over"); take([...event.dataTransfer.files]); });
  form.hidden = false;
  const chosen = () => recipes.find((recipe) => recipe.name === $("#recipe").value);
  // The estimate applies only to the recipe as offered.
  const showTime = () => {
    const isOffered = chosen()?.yaml === $("#yaml").value;
    put($("#time"), !isOffered ? "" : chosen().expectedText ?? (isMeasuring ? "measuring how long this recipe takes" : ""));
    for (const recipe of recipes) {
      const option = all("option", $("#recipe")).find((option) => option.value === recipe.name);
      const time = recipe.expectedText ? `, ${recipe.aboutText}` : "";
      put(option, `${recipe.name}${time}: ${recipe.abstract}`);
    }
  };
  const choose = () => { $("#yaml").value = chosen()?.yaml ?? ""; showTime(); };
  // Until all times are known.
  const ask = async () => {
    const isFirst = !recipes;
    try {
      ({ recipes, isMeasuring } = await offered());
      if (isFirst) {
        $("#recipe").addEventListener("change", choose);
        $("#yaml").addEventListener("input", showTime);
        choose();
        $("#files").disabled = false;
        begin();
      } else {
        showTime();
      }
    } catch (error) {
      put($("#time"), `The ${isFirst ? "recipes" : "times"} are not known yet: ${error.message}. Asking again`);
    }
    if (isMeasuring) setTimeout(ask, 2000);
  };
  ask();
}

async function offered() {
  const response = await fetch("/api/v1/recipes").catch(() => { throw new Error("the coordinator does not answer"); });
  if (!response.ok) throw new Error(await problem(response));
  return response.json();
}

// The job's name as `texloom submit` makes it: without the extension of an image, cut between characters.
function jobName(fileName, maxBytes) {
  let [name, bytes] = ["", 0];
  for (const { segment } of new Intl.Segmenter().segment(fileName.replace(/\.(png|jpe?g)$/i, "") || fileName)) {
    bytes += new TextEncoder().encode(segment).length;
    if (bytes > maxBytes) break;
    name += segment;
  }
  return name;
}

async function submit(files) {
  if (!$("#priority").reportValidity()) return;
  for (const file of files) {
    const line = document.createElement("li");
    line.className = "card";
    const picture = document.createElement("img");
    picture.alt = "";
    const text = document.createElement("span");
    text.textContent = `${file.name}: sending ${(file.size / 1024).toFixed(0)} KiB`;
    line.append(text);
    $("#outcomes").prepend(line);
    try {
      const job = await submitOne(file);
      picture.src = `/thumbnails/${job.exemplar}.png`;
      const link = document.createElement("a");
      link.href = `/jobs/${job.id}`;
      link.textContent = job.resultName;
      text.replaceChildren(`${file.name}: ${job.alreadyExisted ? `was submitted before and is ${job.state}` : "accepted"}, `, link);
      line.prepend(picture);
    } catch (error) {
      line.classList.add("wrong");
      text.textContent = `${file.name}: refused: ${error.message}`;
    }
  }
}

async function submitOne(file) {
  const send = async (path, body, type) => {
    const response = await fetch(path, { method: "POST", body, headers: { "Content-Type": type } });
    if (!response.ok) throw new Error(await problem(response));
    return response.json();
  };
  const receipt = await send("/api/v1/exemplars", file, "application/octet-stream");
  const [name, recipeYAML] = [jobName(file.name, Number($("#submit").dataset.nameBytes)), $("#yaml").value];
  // As in `texloom submit`, the same photograph with the same recipe is the same job.
  const job = { name, fileName: file.name, exemplarSHA256: receipt.sha256, recipeYAML, priority: Number($("#priority").value), once: true };
  if ($("#batch").value.trim()) job.batch = $("#batch").value.trim();
  const then = all("#then input:checked").map((box) => box.value.split(" ")).map(([kind, spec]) => ({ kind, spec }));
  if (then.length) job.then = then;
  const { jobs } = await send("/api/v1/jobs", JSON.stringify({ jobs: [job] }), "application/json");
  return { ...jobs[0], exemplar: receipt.sha256 };
}
