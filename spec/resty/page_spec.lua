-- The page for people: what they see and do, in a real browser that looks at a real
-- nginx. Screenshots of it stay in build/screenshots.

local browser = require "browser"
local child = require "child"
local job_tracker = require "job_tracker"
local nginx_server = require "nginx_server"
local owners = require "owners"
local pipeline = require "job_tracker.pipeline"
local status_server = require "status_server"
local store_file = require "store_file"
local wait_until = require "wait_until"

local unpack = table.unpack or unpack

local ENTER = "\238\128\135" -- U+E007, as WebDriver calls the key

describe("in a browser", function()
  local chromium, path, jobs, server

  local function serve(options)
    server = status_server.start { store = path,
      setup = options or "list = true, events = true, cancel = true, page = true" }
  end

  setup(function() chromium = browser.start() end)
  teardown(browser.stop_all)

  before_each(function()
    path = store_file.path()
    -- nginx's workers may be nobody.
    assert(os.execute("chmod 711 '" .. path:match("^(.*)/") .. "'"))
    jobs = assert(job_tracker.JobTracker.open(path, { size = "8M" }))
    chromium:screen(1100, 800)
    chromium:scheme("light")
  end)

  -- Whatever a test did: no script raised, and nothing had to be forbidden.
  local function assert_quiet()
    for _, entry in ipairs(chromium:console()) do
      assert.equal("network", entry.source, entry.message)
    end
  end

  after_each(function()
    assert_quiet()
    chromium:open("about:blank")
    chromium:console()
    child.end_all()
    status_server.stop_all()
    jobs.close()
    store_file.clean()
  end)

  -- A job with these fields, running unless they say otherwise.
  local function job(fields, task_type)
    local id = assert(jobs.create_job(task_type or "chapter"))
    local all = { status = "running" }
    for name, value in pairs(fields or {}) do all[name] = value end
    assert(jobs.update_job(id, all))
    return id
  end

  local function row(id, part) return ('.row:has(a[href$="%s"]) %s'):format(id, part or "") end

  local function rows()
    return chromium:run("return [...document.querySelectorAll('.row a')].map((a) => a.textContent)")
  end

  local function open_list(rest)
    chromium:open(server.url .. "/" .. (rest or ""))
    chromium:await("#pulse", "live")
  end

  local function open_job(id)
    chromium:open(server.url .. "/jobs/" .. id)
    chromium:await("#now .status", "%a")
  end

  ---A promise is kept: whatever follows happened without a new load of the page.
  local function mark() chromium:run("window.marked = true") end
  local function assert_marked() assert.is_true(chromium:run("return window.marked === true")) end

  describe("the list", function()
    it("shows jobs as they move, the newest first", function()
      serve()
      local first = job { progress = 0.25, current_step = "sections 2/7: Locks" }
      open_list()
      mark()
      assert.equal("sections 2/7: Locks", chromium:text(row(first, ".step")))
      assert.equal("25 %", chromium:text(row(first, ".percent")))

      assert(jobs.update_job(first, { progress = 0.5, current_step = "sections 4/7: Waiting" }))
      chromium:await(row(first, ".step"), "^sections 4/7: Waiting$", 1)
      assert.equal(0.5, chromium:run("return document.querySelector(arguments[0]).value",
        row(first, "progress")))
      assert.equal("50 %", chromium:text(row(first, ".percent")))

      local second = job({}, "film")
      chromium:await(row(second, ".status"), "^running$", 1)
      assert.same({ second, first }, rows())
      assert_marked()
    end)

    it("shows and announces how a job ends", function()
      serve()
      local id, other = job(), job()
      open_list()
      assert(jobs.update_job(id, { status = "completed" }))
      chromium:await(row(id, ".status"), "^completed$", 1)
      chromium:await("#announcement", "^" .. id .. " completed$")
      assert.matches("^took ", chromium:text(row(id, ".times")))
      assert(jobs.update_job(other, { status = "failed", error = "no paper\nleft" }))
      chromium:await(row(other, ".status"), "^failed$", 1)
      assert.equal("no paper\nleft", chromium:text(row(other, ".error")))
      chromium:await("#announcement", "failed: no paper")
      chromium:await("#filter", "running 0.*completed 1.*failed 1")
    end)

    it("turns a job red as soon as its process is killed", function()
      serve()
      local id = assert(jobs.create_job("chapter"))
      local owner = owners.start(jobs, id)
      open_list()
      chromium:await(row(id, ".status"), "^running$")
      mark()
      owner:kill_dead()
      chromium:await(row(id, ".status"), "^failed$", 1)
      assert.equal(owners.death_of(owner.pid), chromium:text(row(id, ".error")))
      local colour = chromium:run(
        "return getComputedStyle(document.querySelector(arguments[0])).color", row(id, ".status"))
      local red, green, blue = colour:match("^rgb%((%d+), (%d+), (%d+)%)$")
      assert.is_true(tonumber(red) > 2 * math.max(tonumber(green), tonumber(blue)), colour)
      chromium:await("#announcement", "died during")
      assert_marked()
    end)

    it("shows one status only, at an address of its own", function()
      serve()
      local running, failed = job(), job { status = "failed", error = "no paper" }
      open_list()
      chromium:click("label[for=filter-failed]")
      chromium:await(row(running), nil, 2)
      assert.same({ failed }, rows())
      assert.equal(server.url .. "/?status=failed", chromium:run("return location.href"))

      chromium:reload()
      chromium:await(row(failed), "no paper")
      assert.same({ failed }, rows())
      assert(jobs.update_job(running, { status = "failed" }))
      chromium:await(row(running, ".status"), "^failed$", 1)

      chromium:click("label[for=filter-completed]")
      chromium:await("#empty", "^No completed jobs%.$")
      assert.same({}, rows())
      chromium:back()
      chromium:await(row(failed), "no paper")
      chromium:click("label[for=filter-all]")
      chromium:await("#filter", "all 2")
      assert.equal(server.url .. "/", chromium:run("return location.href"))
    end)

    it("gives older jobs when asked", function()
      serve()
      for number = 1, 120 do job { current_step = "job " .. number } end
      open_list()
      assert.equal(50, #rows())
      chromium:type("#more", ENTER) -- a click may miss: rows above it get their heights when seen
      wait_until(function() return #rows() == 100 end, "older jobs")
      chromium:type("#more", ENTER)
      wait_until(function() return #rows() == 120 end, "the oldest jobs")
      chromium:await("#more", nil)
      local newest = jobs.list_jobs()
      for index, id in ipairs(rows()) do assert.equal(newest[index].task_id, id) end
    end)

    it("lets deleted jobs go", function()
      serve()
      local kept, deleted = job(), job()
      open_list()
      assert(jobs.delete_job(deleted))
      chromium:run("document.dispatchEvent(new Event('visibilitychange'))")
      chromium:await(row(deleted), nil)
      assert.same({ kept }, rows())
    end)

    it("heals a lost connection, and shows what changed meanwhile", function()
      serve()
      local moving, deleted = job { progress = 0.1 }, job()
      open_list()
      mark()
      server:stop()
      chromium:await("#banner", "^Connection lost")
      assert.equal("status", chromium:role("#banner"))
      assert.equal("10 %", chromium:text(row(moving, ".percent")))
      assert(jobs.update_job(moving, { progress = 0.7 }))
      assert(jobs.delete_job(deleted))
      local new = job()
      server:start()
      chromium:await("#banner", "^$")
      chromium:await(row(moving, ".percent"), "^70 %%$")
      chromium:await(row(deleted), nil)
      assert.same({ new, moving }, rows())
      chromium:await("#pulse", "live")
      assert(jobs.update_job(moving, { progress = 0.8 }))
      chromium:await(row(moving, ".percent"), "^80 %%$", 1)
      assert_marked()
    end)

    it("waits for a store, and says that one cannot be opened", function()
      assert(os.remove(path))
      serve "list = true, events = true, page = true"
      chromium:open(server.url .. "/")
      chromium:await("#banner", "^Waiting: there is no job store yet%.$")
      chromium:await("#pulse", "^waiting$")
      assert.is_nil(chromium:text("#empty"))
      mark()
      jobs.close()
      jobs = assert(job_tracker.JobTracker.open(path, { size = "8M", mode = "0644" }))
      local id = job()
      chromium:await(row(id, ".status"), "^running$", 10)
      chromium:await("#pulse", "^live$")
      assert.equal("", chromium:text("#banner"))

      store_file.write(path .. ".new", "no store")
      assert(os.rename(path .. ".new", path))
      chromium:await("#banner", "^The job store cannot be opened; the server's error log")
      chromium:await("#pulse", "^unavailable$")
      assert.equal("running", chromium:text(row(id, ".status")))
      jobs.close()
      assert(os.remove(path))
      jobs = assert(job_tracker.JobTracker.open(path, { size = "8M", mode = "0644" }))
      chromium:await(row(id), nil)
      chromium:await("#pulse", "^live$")
      assert_marked()
    end)

    it("begins anew on another store", function()
      serve()
      for _ = 1, 5 do job() end
      open_list()
      mark()
      server:stop()
      jobs.close()
      assert(os.remove(path))
      jobs = assert(job_tracker.JobTracker.open(path, { size = "8M" }))
      local new = job()
      server:start()
      chromium:await(row(new, ".status"), "^running$")
      assert.same({ new }, rows())
      assert_marked()
    end)

    it("goes on by asking where there is no stream", function()
      serve "list = true, page = true"
      local id = job { progress = 0.25 }
      chromium:open(server.url .. "/")
      chromium:await("#pulse", "polling")
      assert(jobs.update_job(id, { progress = 0.5 }))
      chromium:await(row(id, ".percent"), "^50 %%$", 5)
      assert(jobs.update_job(id, { status = "completed" }))
      chromium:await("#announcement", "^" .. id .. " completed$", 5)
      server:stop()
      chromium:await("#banner", "^Connection lost")
      server:start()
      chromium:run("dispatchEvent(new Event('online'))") -- or after a while, more and more seldom
      chromium:await("#banner", "^$")
    end)

    it("is there where nginx's workers may not read its file", function()
      local folder = store_file.folder() -- only its owner's: root's, if root runs this
      assert(os.execute(("cp -r '%s/src' '%s'"):format(nginx_server.root, folder)))
      server = status_server.start { store = path, root = folder,
        setup = "list = true, events = true, page = true" }
      open_list()
    end)

    it("says so where it is not offered", function()
      serve "page = true"
      chromium:open(server.url .. "/")
      chromium:await("main", "not offered here")
    end)
  end)

  describe("a job's own page", function()
    -- Runs a pipeline of steps that each wait until 'gate', a job in memory, has come far enough.
    local function start_pipeline(id, gate, fate)
      local function pass(level)
        wait_until(function()
          return job_tracker.JobTracker.get_job(gate).progress >= level
        end, "the gate to open")
      end
      return child.start(function()
        pipeline.new({ task_type = "chapter", tracker = jobs, steps = {
          { name = "plan", run = function() pass(0.1) end },
          { name = "sections", weight = 8, each = function() return { "Locks", "Waiting" } end,
            run = function(_, step) pass(step.index == 1 and 0.2 or 0.3) end },
          { name = "print", run = function() pass(0.4) return fate() end },
        } }):run(nil, { task_id = id })
      end)
    end

    local function steps()
      return chromium:run [[
        return [...document.querySelectorAll("#steps li")].map((li) =>
          ["name", "status", "count"].map((part) =>
            li.querySelector(`[data-field=${part}]`).innerText).join(" ").trim())]]
    end

    local function await_steps(expected)
      local seen
      local came = pcall(wait_until, function()
        seen = steps()
        return table.concat(seen, ", ") == expected
      end, "")
      assert.is_true(came, table.concat(seen, ", "))
    end

    local function open_gate(gate, level)
      assert(job_tracker.JobTracker.update_job(gate, { status = "running", progress = level }))
    end

    it("shows the steps of a run, and its result", function()
      serve()
      local id = assert(jobs.create_job("chapter"))
      local gate = assert(job_tracker.JobTracker.create_job("gate"))
      local run = start_pipeline(id, gate, function() return { pages = 12 } end)
      open_job(id)
      mark()
      await_steps "plan running, sections pending, print pending"
      open_gate(gate, 0.2)
      await_steps "plan completed, sections running 1 / 2, print pending"
      assert.equal("sections 2/2: Waiting", chromium:text("#now .step"))
      assert.equal("progressbar", chromium:role("#steps li:nth-child(2) progress"))
      assert.equal("Items of sections", chromium:label("#steps li:nth-child(2) progress"))
      open_gate(gate, 0.4)
      await_steps "plan completed, sections completed 2 / 2, print completed"
      run:finish()
      chromium:await("#now .status", "^completed$")
      assert.equal('{\n  "pages": 12\n}', chromium:text("#result pre"))
      assert.equal("100 %", chromium:text("#now .percent"))
      chromium:await("#pulse", "finished")
      assert_marked()
    end)

    it("shows in which step the process died", function()
      serve()
      local id = assert(jobs.create_job("chapter"))
      local gate = assert(job_tracker.JobTracker.create_job("gate"))
      local run = start_pipeline(id, gate, error)
      open_job(id)
      open_gate(gate, 0.2)
      await_steps "plan completed, sections running 1 / 2, print pending"
      run:kill_dead()
      chromium:await("#now .status", "^failed$", 1)
      await_steps "plan completed, sections failed 1 / 2, print pending"
      assert.matches("%(pid " .. run.pid .. "%) died during: sections 2/2: Waiting",
        chromium:text("#now .error"))
      chromium:await("#announcement", "died during")
    end)

    it("is a link away, and back leads to the list", function()
      serve()
      local id = job()
      open_list()
      chromium:click(row(id, "a"))
      chromium:await("#title", "^" .. id .. "$")
      chromium:await("#now .status", "^running$")
      assert.equal(server.url .. "/jobs/" .. id, chromium:run("return location.href"))
      chromium:back()
      chromium:await(row(id, ".status"), "^running$")
      chromium:click(row(id, "a"))
      chromium:await("#now .status", "^running$")
      chromium:click("#up")
      chromium:await(row(id, ".status"), "^running$")
    end)

    it("cancels, when asked twice", function()
      serve()
      local id = job()
      open_job(id)
      chromium:click("#cancel")
      chromium:click("#question button[value='']")
      chromium:await("#question", nil)
      assert.is_nil(jobs.get_job(id).cancel_requested)
      chromium:click("#cancel")
      chromium:type("#reason", "a better idea")
      chromium:click("#question .danger")
      chromium:await("#now .wish", "a better idea$")
      assert.equal("a better idea", jobs.get_job(id).cancel_requested)
      assert.is_true(chromium:run("return document.getElementById('cancel').disabled"))
      assert(jobs.update_job(id, { status = "failed", error = "cancelled: a better idea" }))
      chromium:await("#now .error", "^cancelled: a better idea$")
      assert.is_nil(chromium:text("#cancel"))
    end)

    it("offers no cancelling where the server does not", function()
      serve "page = true"
      open_job(job())
      assert.is_nil(chromium:text("#cancel"))
    end)

    it("lives without list, stream of all and its own stream", function()
      serve 'page = true, authorize = function(action) return action ~= "stream" end'
      local id = job { progress = 0.25 }
      open_job(id)
      chromium:await("#pulse", "polling")
      assert.is_nil(chromium:text("#way"))
      assert(jobs.update_job(id, { progress = 0.5 }))
      chromium:await("#now .percent", "^50 %%$", 5)
      assert(jobs.update_job(id, { status = "completed", result = "<b>done</b>" }))
      chromium:await("#result", "<b>done</b>", 5)
      chromium:await("#pulse", "finished")
    end)

    it("is at the same place below another base", function()
      serve 'base = "/api/status/", list = true, events = true, page = true'
      local id = job()
      open_list "api/status/"
      chromium:click(row(id, "a"))
      chromium:await("#now .status", "^running$")
      assert.matches("/api/status/jobs/" .. id .. "$", chromium:run("return location.href"))
      assert(jobs.update_job(id, { status = "completed" }))
      chromium:await("#now .status", "^completed$", 1)
      chromium:open(server.url .. "/api//status/jobs/" .. id:gsub("_", "%%5F"))
      chromium:await("#now .status", "^completed$")
    end)

    it("says that there is no such job, or that it was deleted", function()
      serve()
      chromium:open(server.url .. "/jobs/chapter_00000000")
      chromium:await("#gone", "^There is no such job%.")
      assert.is_nil(chromium:text("#facts"))
      local id = job()
      open_job(id)
      chromium:await("#pulse", "live")
      assert.matches("^Facts\nType\nchapter\n", chromium:text("#facts"))
      assert(jobs.delete_job(id))
      chromium:await("#gone", "^This job was deleted%.$")
      assert.is_nil(chromium:text("#cancel"))
    end)
  end)

  describe("text from jobs", function()
    local MARKUP = "<img src=x onerror=\"window.ran = true\"><script>window.ran = true</script>"
      .. "<style>* { display: none }</style>&lt;b&gt;"

    local function assert_only_text(selector)
      chromium:await(selector, ".") -- a row is there before it says something
      assert.equal(MARKUP, chromium:text(selector))
      assert.same({ 0, 1, 1 }, chromium:run [[return ["img", "script", "style"].map((name) =>
        document.getElementsByTagName(name).length)]])
      assert.is_true(chromium:run("return window.ran === undefined"))
    end

    it("stays text", function()
      serve()
      local id = job { current_step = MARKUP, result = MARKUP, meta = { steps = { { name = MARKUP,
        status = "running", done = 0, total = 2, failed = 0, attempts = 1 } }, [MARKUP] = MARKUP } }
      open_list()
      assert_only_text(row(id, ".step"))
      open_job(id)
      assert_only_text("#now .step")
      assert_only_text("#steps .name")
      assert_only_text("#result pre")
      assert(jobs.update_job(id, { status = "failed", error = MARKUP }))
      assert_only_text("#now .error")
      open_list()
      assert_only_text(row(id, ".error"))
    end)

    it("could not become markup even if the page's script tried", function()
      serve()
      open_list()
      assert.matches("TypeError", chromium:run [[
        try { document.body.innerHTML = "<b>x</b>"; } catch (problem) { return String(problem); }]])
      chromium:console() -- that it was forbidden
    end)

    it("may be of any kind where a pipeline would put its steps", function()
      serve()
      for _, steps in ipairs({ "none", 7, {}, { 1 }, { { name = 1, status = "running" } },
                               { { name = "x", status = "<b>" } } }) do
        open_job(job { meta = { steps = steps } })
        assert.is_nil(chromium:text("#steps"))
        chromium:await("#meta pre", '"steps"')
      end
    end)
  end)

  describe("for everybody", function()
    -- The contrast of each text that is shown to what is behind it, by WCAG 2.1; the lowest.
    local LOWEST_CONTRAST = [[
      const numbers = (colour) => colour.match(/[\d.]+/g).map(Number);
      const light = ([r, g, b]) => [r, g, b].map((value) => value / 255)
        .map((value) => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)
        .reduce((sum, value, index) => sum + value * [0.2126, 0.7152, 0.0722][index], 0);
      const behind = (element) => {
        const colour = numbers(getComputedStyle(element).backgroundColor);
        return colour[3] === 0 && element.parentElement ? behind(element.parentElement) : colour;
      };
      let lowest = { contrast: Infinity };
      const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
      while (texts.nextNode()) {
        const element = texts.currentNode.parentElement;
        if (!texts.currentNode.data.trim() || !element.checkVisibility()) continue;
        const pair = [light(numbers(getComputedStyle(element).color)), light(behind(element))];
        const contrast = (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
        if (contrast < lowest.contrast) {
          lowest = { contrast, text: texts.currentNode.data, count: (lowest.count || 0) };
        }
      }
      return lowest;]]

    local function assert_readable()
      local lowest = chromium:run(LOWEST_CONTRAST)
      assert.is_true(lowest.contrast >= 4.5, ("%s: %.2f"):format(lowest.text, lowest.contrast))
    end

    local function assert_fits(width)
      local content, screen = unpack(chromium:run [[
        const root = document.documentElement;
        return [root.scrollWidth, root.clientWidth];]])
      assert.is_true(content <= screen and screen <= width, content .. " on " .. screen)
    end

    local STEPS = {
      { name = "plan", status = "completed", done = 1, total = 1, failed = 0, attempts = 1,
        started_at = "2026-11-23T17:42:36Z", finished_at = "2026-11-23T17:42:41Z" },
      { name = "sections_of_the_chapter_on_shared_memory", status = "running", done = 3, total = 7,
        failed = 1, attempts = 6, started_at = "2026-11-23T17:42:41Z" },
      { name = "index", status = "skipped", done = 0, total = 1, failed = 0, attempts = 0 },
      { name = "print", status = "pending", done = 0, total = 1, failed = 0, attempts = 0 },
    }

    -- Jobs of every status, with texts that do not want to be broken.
    local function fill()
      local long = ("long_"):rep(12) .. "text"
      job({ status = "completed", result = { pages = 12, title = "Shared memory" } })
      job({ status = "failed", progress = 0.4, current_step = "sections 4/7: Waiting",
        error = "sections[4] Waiting: " .. long .. ": rate limited" })
      assert(jobs.create_job("chapter"))
      local asked = job { progress = 0.3, current_step = "sections 3/7: Memory order" }
      assert(jobs.cancel_job(asked, "a better idea"))
      return job({ progress = 0.55, current_step = "sections 4/7: " .. long,
        meta = { steps = STEPS, user = "ada", [long] = long } }, ("t"):rep(64))
    end

    local SCREENS = { { name = "wide", 1100, 800 }, { name = "phone", 320, 700 } }

    it("is readable on wide screens and phones, by day and by night", function()
      serve()
      local id = fill()
      local folder = nginx_server.build .. "/screenshots"
      assert(os.execute("mkdir -p '" .. folder .. "'"))
      for _, view in ipairs({ { name = "list", open = open_list }, { name = "job", open = open_job } }) do
        for _, screen in ipairs(SCREENS) do
          chromium:screen(screen[1], screen[2])
          view.open(view.name == "job" and id or nil)
          for _, scheme in ipairs({ "light", "dark" }) do
            chromium:scheme(scheme)
            assert_readable()
            assert_fits(screen[1])
            chromium:screenshot(("%s/%s-%s-%s.png"):format(folder, view.name, scheme, screen.name))
          end
        end
      end
    end)

    it("looks dark where people want it dark", function()
      serve()
      open_list()
      local function ground()
        return chromium:run("return getComputedStyle(document.body).backgroundColor")
      end
      assert.equal("rgb(244, 245, 247)", ground())
      chromium:scheme("dark")
      assert.equal("rgb(15, 19, 25)", ground())
    end)

    it("has names for what it shows and offers", function()
      serve()
      local id = job { progress = 0.25 }
      open_list()
      assert.equal("progressbar", chromium:role(row(id, "progress")))
      assert.equal("Progress of " .. id, chromium:label(row(id, "progress")))
      assert.equal("main", chromium:role("main"))
      assert.equal("list", chromium:role("#list"))
      assert.equal("Jobs, the newest first", chromium:label("#list"))
      assert.equal(id, chromium:label(row(id, "a")))
      assert.equal("radio", chromium:role("#filter-running"))
      assert.equal("running 1", chromium:label("#filter-running"))
      open_job(id)
      assert.equal("progressbar", chromium:role("#now progress"))
      assert.equal("Progress of " .. id, chromium:label("#now progress"))
      assert.equal("heading", chromium:role("#title"))
    end)
  end)
end)
