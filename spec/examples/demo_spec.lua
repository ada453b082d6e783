local cjson = require "cjson"
local process = require "process"
local nginx_server = require "nginx_server"
local store_file = require "store_file"
local wait_until = require "wait_until"

local function shell(command)
  local made = os.execute(command)
  assert(made == true or made == 0, command)
end

local am_root = store_file.stat("%u", "/proc/" .. process.getpid()) == "0"

describe("examples/demo", function()
  local folder, tree, temporary, running, keyboard
  local seen = {}

  -- A copy of what a clone has after `make`, with a space in its path, which an
  -- ordinary user can read and build in; and a place for temporary files.
  before_each(function()
    folder = store_file.folder()
    tree, temporary = folder .. "/a clone", folder .. "/a place"
    local root, build = nginx_server.root, nginx_server.build
    shell(("mkdir -p '%s/build/5.4' '%s/build/luajit' '%s'"):format(tree, tree, temporary))
    shell(("cp -r '%s/examples' '%s/src' '%s/'"):format(root, root, tree))
    for _, abi in ipairs({ "5.4", "luajit" }) do
      shell(("cp '%s/%s/job_tracker.so' '%s/build/%s/'"):format(build, abi, tree, abi))
    end
    shell(("chmod -R a+rX '%s'"):format(folder))
  end)

  local function is_ours(pid)
    local file = io.open("/proc/" .. pid .. "/cmdline")
    local command = file and file:read("*a") or ""
    if file then file:close() end
    return command:find(folder, 1, true) ~= nil
  end

  -- The demo, or what a demo that is not as it should be has left.
  after_each(function()
    if running then
      process.kill(running, "TERM")
      process.wait(running)
    end
    for _, pid in ipairs(seen) do
      if is_ours(pid) then process.kill(pid, "TERM") end
    end
    if keyboard then keyboard:close() end
    running, keyboard, seen = nil, nil, {}
    store_file.clean()
  end)

  -- As a terminal starts it: heeding SIGINT, which a background job would not.
  local function start(options)
    local command = { stdout = folder .. "/stdout", stderr = folder .. "/stderr",
      env = { TMPDIR = temporary } }
    for name, value in pairs(nginx_server.environment) do command.env[name] = value end
    command.env.PATH = os.getenv("PATH")
    local words = { "setpriv", "--pdeathsig", "TERM", "env", "--default-signal=INT" }
    if options.pipe then words = { "sh", "-c", '"$0" "$@" | ' .. options.pipe } end
    for _, word in ipairs(options.as or {}) do words[#words + 1] = word end
    words[#words + 1] = tree .. "/examples/demo"
    for _, word in ipairs(options) do words[#words + 1] = word end
    for index, word in ipairs(words) do command[index] = word end
    running = assert(process.spawn(command))
  end

  -- In a terminal of its own, to which 'keyboard' leads.
  local function start_in_terminal(pace)
    shell(("mkfifo '%s/keyboard'"):format(folder))
    keyboard = assert(io.open(folder .. "/keyboard", "r+"))
    local command = { "setpriv", "--pdeathsig", "TERM", "env", "--default-signal=INT",
      "script", "--quiet", "--return", "--command", 'exec "$DEMO" --pace ' .. pace, "/dev/null",
      stdin = folder .. "/keyboard", stdout = folder .. "/stdout", stderr = folder .. "/stderr",
      env = { TMPDIR = temporary, DEMO = tree .. "/examples/demo", SHELL = "/bin/sh" } }
    for name, value in pairs(nginx_server.environment) do command.env[name] = value end
    running = assert(process.spawn(command))
  end

  local function press_control_c()
    assert(keyboard:write("\3"))
    assert(keyboard:flush())
  end

  local function curl(arguments)
    local pipe = assert(io.popen("env -u LD_PRELOAD curl --silent --max-time 10 " .. arguments))
    local text = pipe:read("*a")
    pipe:close()
    return text
  end

  local function output() return store_file.read(folder .. "/stdout") end
  local function errors() return store_file.read(folder .. "/stderr") end

  local function finish()
    local how, code = process.wait(running, 60)
    assert.equal("exit", how, output() .. errors())
    running = nil
    return code
  end

  -- The pipeline, nginx and its workers, once nginx is there.
  local function started()
    return wait_until(function()
      if process.wait(running, 0) ~= "timeout" then
        running = nil
        error("the demo ended: " .. output() .. errors())
      end
      local text = output()
      local nginx = tonumber(text:match("nginx .-process (%d+)"))
      if not nginx or not text:find("endpoint", 1, true) then return false end
      local pids = nginx_server.children(nginx)
      assert.equal(2, #pids)
      pids[#pids + 1] = nginx
      pids[#pids + 1] = tonumber(text:match("pipeline .-process (%d+)"))
      assert.equal(4, #pids)
      seen = pids
      return pids
    end, "the demo to start", 20)
  end

  -- An ended process whose new parent has not yet asked for it is gone.
  local function exists(pid)
    local file = io.open("/proc/" .. pid .. "/stat")
    local state = file and (file:read("*a") or ""):match("^.*%) (%a)")
    if file then file:close() end
    return state ~= nil and state ~= "Z"
  end

  local function assert_clean(pids)
    for _, pid in ipairs(pids) do
      assert.is_false(exists(pid), pid .. " is still running: " .. output())
    end
    local pipe = assert(io.popen("ls -A '" .. temporary .. "'"))
    assert.equal("", pipe:read("*a"))
    pipe:close()
  end

  local function assert_whole_run(options)
    start(options)
    local pids = started()
    assert.equal(0, finish(), errors())
    assert.equal("", errors())
    local text = output()
    assert.matches("http://127%.0%.0%.1:%d+/jobs/[%w._~-]+_%x%x%x%x%x%x%x%x\n", text)
    assert.matches("page +http://127%.0%.0%.1:%d+/ .*\n *%d+%%  running ", text)
    local before, shown = -1, 0
    for percent in text:gmatch("\n *(%d+)%%  running ") do
      assert.is_true(tonumber(percent) >= before)
      before, shown = tonumber(percent), shown + 1
    end
    assert.is_true(shown > 0)
    assert.matches("\n100%%  completed", text)
    local chapter = tree .. "/build/demo/chapter.md"
    assert.is_truthy(text:find(chapter, 1, true))
    assert.matches("^# ", store_file.read(chapter))
    local summary = text:match("chapter%.md %(([%d,]+) words%)")
    assert.is_truthy(store_file.read(chapter):find(summary, 1, true), "the chapter says so itself")
    local asked, fresh, unchanged = text:match(
      "asked +(%d+) times; (%d+) answers were new, 304 Not Modified: (%d+)\n")
    assert.equal(tonumber(asked), fresh + unchanged)
    assert.is_true(tonumber(unchanged) >= 1, "the last is asked for again")
    assert.is_nil(text:find("\27", 1, true)) -- no terminal, no colours
    assert_clean(pids)
  end

  it("shows a chapter being made, says where it is and leaves nothing else", function()
    assert_whole_run({ "--pace", "0.2" })
  end)

  it("works as an ordinary user", function()
    local as = {}
    if am_root then
      shell(("chown -R nobody '%s'"):format(folder))
      as = { "setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups" }
    end
    assert_whole_run({ as = as, "--pace", "0.2" })
  end)

  it("goes on in a terminal, until Ctrl-C: with the page, and chapters on request", function()
    start_in_terminal(0.1)
    local pids = started()
    local url = wait_until(function() -- the last words
      return output():match("Ctrl%-C.-curl %-X POST (http://127%.0%.0%.1:%d+)/jobs[^\n]*\n")
    end, "the chapter", 60)
    local page = curl(("--header 'Accept: text/html' %s/"):format(url))
    assert.matches("^<!DOCTYPE html>", page)
    local id = cjson.decode(curl(("--request POST %s/jobs"):format(url))).task_id
    local job = wait_until(function()
      local now = cjson.decode(curl(("%s/jobs/%s"):format(url, id)))
      assert.not_equal("failed", now.status, now.error)
      return now.status == "completed" and now
    end, "another chapter", 60)
    assert.matches("^# ", curl(url .. job.result.chapter))
    press_control_c()
    assert.equal(0, finish(), output() .. errors())
    assert_clean(pids)
  end)

  it("cleans up when Ctrl-C is pressed before the chapter is there", function()
    start_in_terminal(5)
    local pids = started()
    press_control_c()
    assert.equal(130, finish(), output() .. errors())
    assert_clean(pids)
  end)

  for signal, code in pairs({ INT = 130, TERM = 143, HUP = 129 }) do
    it("cleans up when interrupted by SIG" .. signal, function()
      start({ "--pace", "5" })
      local pids = started()
      assert(process.kill(running, signal))
      assert.equal(code, finish(), output() .. errors())
      assert_clean(pids)
    end)
  end

  it("leaves no process behind even when killed", function()
    start({ "--pace", "5" })
    local pids = started()
    assert(process.kill(running, "KILL"))
    process.wait(running)
    running = nil
    wait_until(function()
      for _, pid in ipairs(pids) do
        if exists(pid) then return false end
      end
      return true
    end, "all to end")
  end)

  it("ends when nobody reads what it says", function()
    start({ pipe = "head -n 1", "--pace", "0.5" })
    finish()
    assert_clean({ assert(tonumber(output():match("process (%d+)"))) })
  end)

  it("fails with the job's own words when the job fails", function()
    store_file.write(folder .. "/empty.md", "")
    start({ "--pace", "0.1", folder .. "/empty.md" })
    assert.equal(1, finish())
    assert.matches("demo: the job failed: .*empty", errors())
    assert.is_false(store_file.exists(tree .. "/build/demo/chapter.md"))
    assert_clean({})
  end)

  it("fails, and says why, when the pipeline dies", function()
    start({ "--pace", "5" })
    local pids = started()
    assert(process.kill(pids[4], "KILL"))
    assert.equal(1, finish())
    assert.matches("demo: the job failed: the process working on this job %(pid " .. pids[4] ..
      "%) died during: reading", errors())
    assert_clean(pids)
  end)

  it("fails, and shows nginx's log, when nginx does not start", function()
    store_file.write(tree .. "/build/luajit/job_tracker.so", "not a library")
    start({ "--pace", "0.1" })
    assert.equal(1, finish())
    assert.matches("demo: nginx did not start", errors())
    assert.matches("nginx's error log:\n.*job_tracker%.so", errors())
    assert_clean({})
  end)

  it("says what --pace must be", function()
    for given, shown in pairs { [""] = "nothing", ["x y"] = '"x y"', ["-1"] = '"-1"' } do
      start({ "--pace", given ~= "" and given or nil })
      assert.equal(1, finish())
      assert.equal("demo: --pace must be a number of seconds, such as 0.6, got " .. shown .. "\n",
        errors())
      assert(os.remove(folder .. "/stderr")) -- which the next would go on with
    end
  end)

  it("says what to do when nothing is built", function()
    assert(os.remove(tree .. "/build/5.4/job_tracker.so"))
    start({})
    assert.equal(1, finish())
    assert.matches("job_tracker%.so is not built; `make demo` sees to it", errors())
    assert_clean({})
  end)
end)
