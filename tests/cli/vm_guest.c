/* vm_guest: the one program of the tests' guest. It says hello on its console and powers down when its power button is pressed; with the
   word deaf on the kernel's command line it does not. Not a system. */
#include <fcntl.h>
#include <linux/input.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static void load(const char *module) {
  int fd = open(module, O_RDONLY);
  if (fd < 0 || syscall(SYS_finit_module, fd, "", 0) != 0) perror(module);
  close(fd);
}

int main(int argc, char **argv) {
  mkdir("/dev", 0755);
  mount("dev", "/dev", "devtmpfs", 0, "");
  int console = open("/dev/console", O_RDWR);
  for (int fd = 0; fd < 3; fd++) dup2(console, fd);
  load("/button.ko");
  load("/evdev.ko");
  usleep(200000);
  struct pollfd inputs[10];
  int count = 0;
  for (int i = 0; i < 10; i++) {
    char name[] = "/dev/input/event0";
    name[sizeof name - 2] = '0' + i;
    int fd = open(name, O_RDONLY);
    if (fd >= 0) inputs[count++] = (struct pollfd){.fd = fd, .events = POLLIN};
  }
  printf("isconf guest: hello\n");
  fflush(stdout);
  if (argc > 1 && strcmp(argv[1], "deaf") == 0) count = 0;
  while (poll(inputs, count, -1) > 0) {
    for (int i = 0; i < count; i++) {
      struct input_event event;
      if (!(inputs[i].revents & POLLIN) || read(inputs[i].fd, &event, sizeof event) != sizeof event) continue;
      if (event.type != EV_KEY || event.code != KEY_POWER || event.value != 1) continue;
      printf("isconf guest: goodbye\n");
      fflush(stdout);
      sync();
      reboot(RB_POWER_OFF);
    }
  }
  for (;;) pause();
}
