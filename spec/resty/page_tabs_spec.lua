-- The page in a tab that nobody looks at. A browser has six connections to a server by
-- HTTP/1.1, for all its tabs: who has opened six jobs wants to see a seventh.

local browser = require "browser"
local job_tracker = require "job_tracker"
local status_server = require "status_server"
local store_file = require "store_file"

describe("in a browser with many tabs", function()
  local chromium, jobs, server

  before_each(function()
    chromium = browser.start()
    local path = store_file.path()
    assert(os.execute("chmod 711 '" .. path:match("^(.*)/") .. "'"))
    jobs = assert(job_tracker.JobTracker.open(path, { size = "1M" }))
    server = status_server.start { store = path, setup = "list = true, events = true, page = true" }
  end)

  after_each(function()
    browser.stop_all()
    status_server.stop_all()
    jobs.close()
    store_file.clean()
  end)

  -- What the browser says to the page when another tab is brought to the front, or this one.
  local function hide(hidden)
    chromium:run([[
      Object.defineProperty(document, "hidden", { value: arguments[0], configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    ]], hidden)
  end

  -- As five more tabs that people look at, and what one of them asks for.
  local function take_all_other_connections()
    chromium:run [[
      window.where = location.pathname; window.others = [1, 2, 3, 4, 5].map(() => new EventSource("/events"));
      const mark = document.body.appendChild(document.createElement("p"));
      mark.id = "mark";
      const opened = window.others.map((other) => new Promise((done) => other.onopen = done));
      Promise.all(opened).then(() => {
        mark.textContent = "asked";
        return fetch("/metrics");
      }).then((response) => mark.textContent = "answered " + response.status);
    ]]
    chromium:await("#mark", "^asked$")
  end

  local function update(id, progress)
    assert(jobs.update_job(id, { status = "running", progress = progress }))
  end

  it("gives up its stream after some seconds unseen, and shows all when it is seen", function()
    local id = assert(jobs.create_job("chapter"))
    for _, target in ipairs({ "/", "/jobs/" .. id }) do
      update(id, 0.25)
      chromium:open(server.url .. target)
      chromium:await("#pulse", "^live$")
      take_all_other_connections()
      hide(true)
      chromium:await("#mark", "^answered 404$", 15)
      update(id, 0.5)
      hide(false)
      chromium:await(".percent", "^50 %%$", 2)
      chromium:run "window.others[0].close()"
      chromium:await("#pulse", "^live$", 5)
      update(id, 0.75)
      chromium:await(".percent", "^75 %%$", 1)
      chromium:run "window.others.forEach((other) => other.close())"
    end
  end)

  it("keeps its stream where people are back soon", function()
    local id = assert(jobs.create_job("chapter"))
    chromium:open(server.url .. "/jobs/" .. id)
    chromium:await("#pulse", "^live$")
    hide(true)
    update(id, 0.5)
    chromium:await(".percent", "^50 %%$", 1)
    hide(false)
    os.execute("sleep 11")
    assert.equal("live", chromium:text("#pulse"))
  end)
end)
