-- resty.job_tracker's front: what setup takes, what is off unless switched on, and who is
-- asked whether a request may be answered.

local cjson = require "cjson"
local nginx_server = require "nginx_server"
local status_server = require "status_server"
local store_file = require "store_file"
local JobTracker = require("job_tracker").JobTracker

local expect_problem = status_server.expect_problem

local path, jobs

before_each(function()
  path = store_file.path()
  jobs = assert(JobTracker.open(path, { size = "8M" }))
end)

after_each(function()
  status_server.stop_all()
  jobs.close()
  store_file.clean()
end)

local function start(setup)
  return status_server.start { setup = setup, store = path }
end

describe("resty.job_tracker.setup", function()
  -- What nginx says when it does not start with this.
  local function trouble_of(options, change)
    local started, trouble = pcall(nginx_server.start_with, 1, function(port)
      options.workers = 1
      local text = status_server.text(options, port)
      return change and change(text) or text
    end)
    assert.is_false(started)
    return tostring(trouble)
  end

  it("names the option that is wrong, its rule and its value, at the line of the call", function()
    for setup, message in pairs({
      ["lists = true"] = 'setup: unknown option "lists"; the options are authorize, base, cancel, ',
      ["list = 1"] = "setup: list must be a boolean, got 1",
      ['base = "app/"'] = 'setup: base must be a path of [^\n]*, got "app/"',
      ['base = "/app"'] = 'setup: base must be a path of [^\n]*, got "/app"',
      ['base = "//"'] = 'setup: base must be a path of [^\n]*, got "//"',
      ["on_create = true"] = "setup: on_create must be a function, got true",
      ["authorize = {}"] = "setup: authorize must be a function, got table",
      ["max_streams = 0"] = "setup: max_streams must be an integer from 1 to 1000000, got 0",
      ["max_streams = 1.5"] = "setup: max_streams must be an integer from 1 to 1000000, got 1.5",
      ["max_body = -1"] = "setup: max_body must be an integer of bytes [^\n]*, got %-1",
      ['store = ""'] = 'setup: store must be the path of a store file, got ""',
      ['store = "jobs\\0store"'] = "setup: store must be the path of a store file, got ",
      ["store_options = {}"] = "setup: store_options are of a store file: name it by store",
      ['store = "/jobs", store_options = { readonly = true }, cancel = true'] =
        "setup: cancel and on_create write the store: store_options.readonly must not be true",
    }) do
      local trouble = trouble_of { setup = setup }
      assert.matches("init_by_lua[^\n]*:%d+: " .. message, trouble)
    end
  end)

  it("does so of what is in store_options, whether nginx writes the store or reads it", function()
    for options, message in pairs({
      ['size = "64X"'] = 'size must be a whole number of bytes, or .* such as "64M", got "64X"',
      ["sizes = 1"] = 'unknown option "sizes"; the options are size, ',
    }) do
      for _, more in ipairs({ "cancel = true", "list = true" }) do
        local trouble = trouble_of { store = "/nonexistent/jobs.store",
          setup = ("store_options = { %s }, %s"):format(options, more) }
        assert.matches("init_by_lua[^\n]*:%d+: setup: store_options: " .. message, trouble)
      end
    end
  end)

  it("says what it needs", function()
    assert.matches("cannot be opened: [^\n]*No such file", trouble_of { setup = "cancel = true",
      store = "/nonexistent/jobs.store" })
    assert.matches("lua_shared_dict job_tracker 1m", trouble_of({
      setup = "on_create = function() end" }, function(text)
      return (text:gsub("lua_shared_dict job_tracker 1m;", ""))
    end))
  end)
end)

describe("what resty.job_tracker serves", function()
  it("is one job, unless more is switched on", function()
    local server = start()
    local workers = server:workers()
    local id = jobs.create_job("textbook")
    for _, target in ipairs({ "/", "/jobs", "/events", "/metrics" }) do
      for _, method in ipairs({ "GET", "HEAD", "POST", "DELETE" }) do
        local response = method == "HEAD" and server:request(target, "--head")
          or server:request(target, "--request", method, "--header", "Accept: text/html")
        assert.equal(404, response.status, method .. target)
      end
      expect_problem(404, server:request(target))
    end
    expect_problem(404, server:request("/jobs/" .. id .. "/cancel", "--request", "POST"))
    local response = server:request("/jobs/" .. id, "--header", "Accept: text/html")
    assert.equal(jobs.get_json(id), response.body)
    assert.equal("pending", jobs.get_job(id).status)
    status_server.expect_unharmed(server, workers)
  end)

  it("says which methods there are where some are off", function()
    local server = start("list = true")
    assert.equal("GET, HEAD", server:request("/jobs", "--request", "POST").headers.allow)
    local other = start("on_create = function() end")
    assert.equal("POST", other:request("/jobs").headers.allow)
    assert.equal("POST", other:request("/jobs", "--head").headers.allow)
    local both = start("list = true, on_create = function() end")
    assert.equal("GET, HEAD, POST", both:request("/jobs", "--request", "PUT").headers.allow)
  end)

  it("is mapped read-only while nothing is switched on that changes jobs", function()
    local function is_mapped_to_write(server)
      local found
      for _, pid in ipairs(server:workers()) do
        for line in io.lines("/proc/" .. pid .. "/maps") do
          local from, to, how = line:match("^(%x+)%-(%x+) (%S+) ")
          if line:find(path, 1, true) then
            local bytes = tonumber(to, 16) - tonumber(from, 16)
            assert.is_true(how == "r--s" or how == "rw-s", line)
            -- A reader may write the page that waiters sleep on, where nothing of a job is.
            found = found or (how == "rw-s" and bytes > 4096)
          end
        end
      end
      return found or false
    end
    assert.is_false(is_mapped_to_write(start("list = true, events = true")))
    assert.is_true(is_mapped_to_write(start("cancel = true")))
  end)
end)

describe("authorize", function()
  local AUTHORIZE = [[
    list = true, events = true, cancel = true,
    on_create = function() return require("resty.job_tracker").tracker().create_job("made") end,
    authorize = function(action, id)
      ngx.header["X-Asked"] = action .. " " .. tostring(id)
      local header = ngx.req.get_headers()["x-answer"]
      if header == "raise" then error("/srv/secret.lua") end
      if header == "raise nothing" then error() end
      if header == "raise a table" then error({ 403 }) end
      if not header or header == "yes" then return true end
      if header == "nil" then return nil end
      return false, tonumber(header)
    end,
  ]]

  local function requests(id)
    return {
      { "read", id, "/jobs/" .. id }, { "read", id, "/jobs/" .. id, "--head" },
      { "read", "no_such_job", "/jobs/no_such_job" },
      { "stream", id, "/jobs/" .. id .. "/events", "--max-time", "0.2" },
      { "list", nil, "/jobs" }, { "list", nil, "/jobs", "--head" },
      { "events", nil, "/events", "--max-time", "0.2" },
      { "create", nil, "/jobs", "--request", "POST" },
      { "cancel", id, "/jobs/" .. id .. "/cancel", "--request", "POST" },
    }
  end

  local function ask(server, what, ...)
    local arguments = { ... }
    for index = 4, #what do arguments[#arguments + 1] = what[index] end
    return server:request(what[3], (table.unpack or unpack)(arguments))
  end

  it("is asked about each action, with the job's id", function()
    local server = start(AUTHORIZE)
    local id = jobs.create_job("textbook")
    for _, what in ipairs(requests(id)) do
      local response = ask(server, what)
      assert.equal(what[1] .. " " .. tostring(what[2]), response.headers["x-asked"], what[3])
      assert.is_true(response.status < 300 or what[2] == "no_such_job", response.status)
    end
  end)

  it("refuses each action, and nothing is done then", function()
    local server = start(AUTHORIZE)
    local workers = server:workers()
    local id = jobs.create_job("textbook")
    local before = jobs.version()
    for _, what in ipairs(requests(id)) do
      for answer, status in pairs({ no = 403, ["nil"] = 403, ["401"] = 401, ["403"] = 403,
        ["404"] = 404, ["200"] = 403, ["500"] = 403, ["1e9"] = 403 }) do
        local response = ask(server, what, "--header", "X-Answer: " .. answer)
        assert.equal(status, response.status, what[3] .. answer)
        if what[4] ~= "--head" then expect_problem(status, response) end
      end
    end
    assert.equal(before, (jobs.version()))
    status_server.expect_unharmed(server, workers)
  end)

  it("answers 500 where it raises, and the client does not learn why", function()
    local server = start(AUTHORIZE)
    local workers = server:workers()
    local id = jobs.create_job("textbook")
    for _, answer in ipairs({ "raise", "raise nothing", "raise a table" }) do
      local response = server:request("/jobs/" .. id, "--header", "X-Answer: " .. answer)
      expect_problem(500, response)
      assert.is_nil(response.body:find("secret", 1, true))
    end
    assert.matches("%[error%].*authorize: .*/srv/secret%.lua", server:log())
    assert.matches("authorize: table: ", server:log())
    assert.is_nil(server:log():find("bad argument", 1, true))
    assert.same(workers, server:workers())
    assert.equal(id, cjson.decode(server:request("/jobs/" .. id).body).task_id)
  end)

  it("is not asked about what there is not", function()
    local server = start(AUTHORIZE)
    for _, target in ipairs({ "/metrics", "/x", "/jobs/a/b", "/" }) do
      assert.is_nil(server:request(target).headers["x-asked"])
    end
    assert.is_nil(server:request("/events", "--request", "POST").headers["x-asked"])
  end)
end)
