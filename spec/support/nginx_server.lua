-- Real nginx servers with a configuration of examples/openresty, each in a
-- folder of its own, and the requests that specs send them (curl). A server is
-- ended by its pid. Knows nginx and HTTP; what is served is the specs' concern.

local process = require "process"
local assert = require "luassert"
local store_file = require "store_file"
local wait_until = require "wait_until"

local nginx_server = {}

---@class NginxServer
---@field pid integer of nginx's master
---@field folder string the server's own; its name has a space
---@field url string
---@field port integer
---@field private count integer of workers
---@field private variables table<string, string> of nginx's environment
---@field private daemon boolean?
---@field private guard integer? a daemon's
local NginxServer = {}
NginxServer.__index = NginxServer

---@class Response
---@field status integer
---@field headers table<string, string> by lower-case name
---@field body string

---@type table<integer, NginxServer>
local living = {}

local function output_of(command)
  local pipe = assert(io.popen(command))
  local text = pipe:read("*a")
  pipe:close()
  return (text:gsub("%s+$", ""))
end

---The project's folder, and the one that it is built into.
nginx_server.root = output_of("pwd -P")
nginx_server.build = os.getenv("BUILD") or nginx_server.root .. "/build"
-- nginx is where ordinary users' PATH does not lead; Lua's paths are the specs' own; memory that
-- nginx does not give back at its end is not ours.
nginx_server.environment = {
  PATH = os.getenv("PATH") .. ":/usr/sbin:/sbin",
  LUA_PATH = false, LUA_CPATH = false, BUILD = false,
  ASAN_OPTIONS = (os.getenv("ASAN_OPTIONS") or "") .. ":detect_leaks=0",
}

local function quoted(path) return "'" .. path:gsub("'", "'\\''") .. "'" end

-- A project in the folder: nginx.conf names its files by their place in it.
local function lay_out(folder)
  local root, build = nginx_server.root, nginx_server.build
  local command = { "cd", quoted(folder), "&& mkdir -p examples/openresty build/openresty/chapters",
    "&& chmod 777 build/openresty/chapters" } -- workers may be nobody
  for link, target in pairs({ src = root .. "/src", ["build/luajit"] = build .. "/luajit",
    ["examples/textbook"] = root .. "/examples/textbook",
    ["examples/openresty/lua"] = root .. "/examples/openresty/lua" }) do
    command[#command + 1] = ("&& ln -s %s %s"):format(quoted(target), link)
  end
  local made = os.execute(table.concat(command, " "))
  assert(made == true or made == 0, "the server's folder could not be made")
end

local function replaced(text, old, new)
  local from, to = text:find(old, 1, true)
  assert(from, "not in the configuration: " .. old)
  return text:sub(1, from - 1) .. new .. text:sub(to + 1)
end

-- The example's own text with another port, and each answer's worker.
local function write_configuration(self, name)
  local text = store_file.read(nginx_server.root .. "/examples/openresty/" .. name)
  text = replaced(text, "listen 127.0.0.1:8080;", ("listen 127.0.0.1:%d;"):format(self.port))
  text = replaced(text, "server_tokens off;",
    "server_tokens off; add_header X-Worker $pid always;")
  store_file.write(self.folder .. "/examples/openresty/nginx.conf", text)
end

-- A server that is laid out, with a port, and not started.
local function new(workers)
  local folder = store_file.folder() .. "/a server"
  -- Workers that are nobody write here.
  assert(os.execute(("mkdir %s && chmod 711 %s %s"):format(quoted(folder), quoted(folder),
    quoted(folder:match("^(.*)/")))))
  local self = setmetatable({ folder = folder, port = process.free_port(), count = workers,
    variables = {} }, NginxServer)
  self.url = "http://127.0.0.1:" .. self.port
  lay_out(folder)
  return self
end

local function environment_of(self)
  local environment = { JOB_STORE = false }
  for variable, value in pairs(nginx_server.environment) do environment[variable] = value end
  for variable, value in pairs(self.variables) do environment[variable] = value end
  return environment
end

local function pid_file(self) return self.folder .. "/build/openresty/nginx.pid" end

-- nil while there is none: an upgrade takes the old one away before it writes its own.
local function pid_in_file(self)
  local file = io.open(pid_file(self))
  local pid = file and tonumber(file:read("*a"))
  if file then file:close() end
  return pid
end

-- Spawns what is told to end, not killed, when the specs end: nginx would leave its workers.
local function spawn_told(self, ...)
  local command = { "setpriv", "--pdeathsig", "TERM", stdout = self.folder .. "/stdout",
    stderr = self.folder .. "/stderr", env = environment_of(self) }
  for _, word in ipairs({ ... }) do command[#command + 1] = word end
  return assert(process.spawn(command))
end

local function spawn(self)
  self.pid = spawn_told(self, "nginx", "-p", self.folder .. "/examples/openresty",
    "-c", "nginx.conf", "-g", "daemon off;")
end

-- As a daemon: an nginx whose parent lives takes itself for a new one and ignores USR2. So
-- that it ends with the specs in any case, somebody waits for their end.
local function spawn_daemon(self)
  local program = output_of("PATH=$PATH:/usr/sbin:/sbin; command -v nginx") -- USR2 takes no name
  local starter = assert(process.spawn({ program, "-p", self.folder .. "/examples/openresty",
    "-c", "nginx.conf", stdout = self.folder .. "/stdout", stderr = self.folder .. "/stderr",
    env = environment_of(self) }))
  assert.same({ "exit", 0 }, { process.wait(starter, 10) })
  self.pid = wait_until(function() return pid_in_file(self) end, "nginx's pid")
  self.guard = spawn_told(self, "sh", "-c",
    'trap \'kill "$(cat "$0")"; exit\' TERM; while sleep 1; do :; done', pid_file(self))
end

local function launch(self)
  if self.daemon then spawn_daemon(self) else spawn(self) end
  living[self.pid] = self
  wait_until(function()
    if process.wait(self.pid, 0) ~= "timeout" then
      living[self.pid] = nil
      error("nginx ended: " .. store_file.read(self.folder .. "/stderr"))
    end
    return #self:workers() == self.count and self:request("/").status ~= 0
  end, "nginx to answer")
  return self
end

---Starts nginx and waits until it answers.
---@param name string the configuration's, in examples/openresty
---@param variables table<string, string>? of its environment
---@return NginxServer
function nginx_server.start(name, variables)
  local self = new(2)
  self.variables = variables or {}
  write_configuration(self, name)
  return launch(self)
end

---Starts nginx with a configuration of a spec's own, as 'write' makes it for the port.
---@param workers integer
---@param write fun(port: integer): string
---@param daemon boolean? for 'upgrade'
---@return NginxServer
function nginx_server.start_with(workers, write, daemon)
  local self = new(workers)
  self.daemon = daemon
  self:configure(write(self.port))
  return launch(self)
end

---Writes another configuration: for the next reload, restart or upgrade.
---@param text string
function NginxServer:configure(text)
  store_file.write(self.folder .. "/examples/openresty/nginx.conf", text)
end

local function parse_headers(text)
  local headers = {}
  for name, value in text:gmatch("([^\r\n:]+): ([^\r\n]*)") do headers[name:lower()] = value end
  return headers
end

---Asks for 'path', which is sent as it stands, with more arguments for curl.
---Without an answer the status is 0.
---@param path string
---@param ... string
---@return Response
function NginxServer:request(path, ...)
  local files = { status = os.tmpname(), headers = os.tmpname(), body = os.tmpname() }
  local command = {
    "curl", "--silent", "--globoff", "--max-time", "10", "--write-out", "%{http_code}",
    "--dump-header", files.headers, "--output", files.body, "--request-target", path,
    stdout = files.status, stderr = "/dev/null", env = { LD_PRELOAD = false },
  }
  for _, argument in ipairs({ ... }) do command[#command + 1] = argument end
  command[#command + 1] = self.url
  process.wait(assert(process.spawn(command)))
  local headers, body = store_file.read(files.headers), store_file.read(files.body)
  if body:sub(1, #headers) == headers then body = body:sub(#headers + 1) end -- curl --head does so
  local status = tonumber(store_file.read(files.status))
  for _, file in pairs(files) do os.remove(file) end
  return { status = status, headers = parse_headers(headers), body = body }
end

---@param pid integer
---@return integer[]
function nginx_server.children(pid)
  local file = assert(io.open(("/proc/%d/task/%d/children"):format(pid, pid)))
  local pids = {}
  for number in file:read("*a"):gmatch("%d+") do pids[#pids + 1] = tonumber(number) end
  file:close()
  return pids
end

---The worker processes that nginx has now.
---@return integer[]
function NginxServer:workers() return nginx_server.children(self.pid) end

local function is_stopped(pid)
  return store_file.read(("/proc/%d/stat"):format(pid)):match("^.*%) (%a)") == "T"
end

-- Stopped, not only told to: until it is, a connection may wake it and no other worker.
local function hold(pid)
  assert(process.kill(pid, "STOP"))
  wait_until(function() return is_stopped(pid) end, "a worker to stop")
end

---Asks each worker, holding the other ones.
---@return table<integer, Response> by pid
function NginxServer:request_from_each(path, ...)
  local responses = {}
  local workers = self:workers()
  for _, chosen in ipairs(workers) do
    for _, pid in ipairs(workers) do
      if pid ~= chosen then hold(pid) end
    end
    assert(process.kill(chosen, "CONT"))
    responses[chosen] = self:request(path, ...)
    assert.equal(tostring(chosen), responses[chosen].headers["x-worker"])
  end
  for _, pid in ipairs(workers) do assert(process.kill(pid, "CONT")) end
  return responses
end

---Whether each worker answers with this status.
---@return boolean
function NginxServer:each_answers(status, path)
  for _, response in pairs(self:request_from_each(path)) do
    if response.status ~= status then return false end
  end
  return true
end

---What nginx wrote to its error log.
---@return string
function NginxServer:log() return store_file.read(self.folder .. "/build/openresty/error.log") end

-- Whether 'others' has none of 'pids'.
local function are_others(pids, others)
  for _, pid in ipairs(pids) do
    for _, other in ipairs(others) do
      if pid == other then return false end
    end
  end
  return true
end

local function is_gone(pid)
  return store_file.stat("%F", "/proc/" .. pid) ~= "directory"
end

---Has nginx read its configuration anew, and waits for the new workers. The old ones may
---still have requests.
function NginxServer:reload()
  local old = self:workers()
  assert(process.kill(self.pid, "HUP"))
  wait_until(function()
    local new_ones = {}
    for _, pid in ipairs(self:workers()) do
      if are_others({ pid }, old) then new_ones[#new_ones + 1] = pid end
    end
    return #new_ones == self.count
  end, "new workers")
end

---Ends a worker with SIGKILL, and waits for the one that takes its place.
---@param pid integer
function NginxServer:kill_worker(pid)
  assert(process.kill(pid, "KILL"))
  wait_until(function()
    local workers = self:workers()
    return #workers == self.count and are_others({ pid }, workers)
  end, "another worker")
end

---Starts nginx again in a process of its own that takes over the port (USR2), and ends the
---old one (QUIT). For servers that are daemons.
function NginxServer:upgrade()
  local old = self.pid
  assert(process.kill(old, "USR2"))
  local new_pid = wait_until(function()
    local pid = pid_in_file(self)
    return pid and pid ~= old and #nginx_server.children(pid) == self.count and pid
  end, "the new nginx")
  assert(process.kill(old, "QUIT"))
  living[old], living[new_pid], self.pid = nil, self, new_pid
  assert.not_equal("timeout", process.wait(old, 10))
end

local function await_end(pid)
  if process.wait(pid, 10) == "timeout" then return false end
  -- After an upgrade it is nobody's child here: the kernel says when it is gone.
  wait_until(function() return is_gone(pid) end, "nginx to end")
  return true
end

---Ends nginx and its workers.
function NginxServer:stop()
  living[self.pid] = nil
  local workers = self:workers()
  for _, pid in ipairs(workers) do process.kill(pid, "CONT") end
  if self.guard then
    process.kill(self.guard, "KILL")
    process.wait(self.guard)
  end
  process.kill(self.pid, "TERM")
  if not await_end(self.pid) then
    for _, pid in ipairs(workers) do process.kill(pid, "KILL") end
    process.kill(self.pid, "KILL")
    process.wait(self.pid)
    error("nginx did not end")
  end
end

---Starts nginx again, on its port, after 'stop'.
function NginxServer:start() launch(self) end

---Ends nginx and starts it again on its port.
function NginxServer:restart()
  self:stop()
  self:start()
end

---Ends whatever was started: for after_each.
function nginx_server.stop_all()
  local left = {}
  for _, server in pairs(living) do left[#left + 1] = server end
  for _, server in ipairs(left) do server:stop() end
end

return nginx_server
