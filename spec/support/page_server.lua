-- An nginx that serves resty.job_tracker from a store file, for specs that look at it
-- from outside: started, stopped, and started again at the same address. Knows nginx;
-- what is served is the specs' concern.

local process = require "process"
local assert = require "luassert"
local nginx_server = require "nginx_server"
local store_file = require "store_file"
local wait_until = require "wait_until"

local page_server = {}

---@class StatusServer
---@field url string ends in the base
---@field private port integer
---@field private folder string
---@field private pid integer?
local StatusServer = {}
StatusServer.__index = StatusServer

---@type StatusServer[]
local made = {}

local CONFIGURATION = [[
load_module /usr/lib/nginx/modules/ndk_http_module.so;
load_module /usr/lib/nginx/modules/ngx_http_lua_module.so;
worker_processes 2;
pid nginx.pid;
error_log error.log warn;
events { }
http {
  access_log off;
  client_body_temp_path body; fastcgi_temp_path fastcgi; proxy_temp_path proxy;
  scgi_temp_path scgi; uwsgi_temp_path uwsgi;
  lua_package_path "{root}/src/?.lua;;";
  lua_package_cpath "{build}/luajit/?.so;;";
  lua_shared_dict job_tracker 1m;
  init_by_lua_block { require("resty.job_tracker").setup { store = "{store}", {options} } }
  init_worker_by_lua_block { require("resty.job_tracker").init_worker() }
  server {
    listen 127.0.0.1:{port};
    lua_check_client_abort on;
    location / { content_by_lua_block { require("resty.job_tracker").handle() } }
  }
}
]]

---A server that is not started yet.
---@param store string the path of a store file
---@param options string what setup is given beside the store, as Lua
---@param root string? the folder that has src/; the project's
---@return StatusServer
function page_server.new(store, options, root)
  local self = setmetatable({ folder = store_file.folder(), port = process.free_port() },
    StatusServer)
  self.url = "http://127.0.0.1:" .. self.port .. (options:match('base = "([^"]*)"') or "/")
  local values = { root = root or nginx_server.root, build = nginx_server.build, store = store,
                   options = options, port = tostring(self.port) }
  store_file.write(self.folder .. "/nginx.conf", (CONFIGURATION:gsub("{(%l+)}", values)))
  made[#made + 1] = self
  return self
end

---Starts nginx and waits until it has its workers, and thus listens.
---@return StatusServer self
function StatusServer:start()
  -- Not killed with the specs, which would leave its workers behind, but told to end.
  self.pid = assert(process.spawn({
    "setpriv", "--pdeathsig", "TERM", "nginx", "-p", self.folder, "-c", "nginx.conf",
    "-g", "daemon off;", stdout = self.folder .. "/stdout", stderr = self.folder .. "/stderr",
    env = nginx_server.environment,
  }))
  wait_until(function()
    if process.wait(self.pid, 0) ~= "timeout" then
      self.pid = nil
      error("nginx ended: " .. store_file.read(self.folder .. "/stderr"))
    end
    return #nginx_server.children(self.pid) == 2
  end, "nginx to start")
  return self
end

---Ends nginx and its workers at once, streams or not.
function StatusServer:stop()
  local pid = self.pid
  self.pid = nil
  process.kill(pid, "TERM")
  if process.wait(pid, 10) == "timeout" then
    for _, worker in ipairs(nginx_server.children(pid)) do process.kill(worker, "KILL") end
    process.kill(pid, "KILL")
    process.wait(pid)
    error("nginx did not end")
  end
end

---What nginx wrote to its error log.
---@return string
function StatusServer:log() return store_file.read(self.folder .. "/error.log") end

---Ends whatever was started: for after_each.
function page_server.stop_all()
  local left = made
  made = {}
  for _, server in ipairs(left) do
    if server.pid then server:stop() end
  end
  assert(#made == 0)
end

return page_server
