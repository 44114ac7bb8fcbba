/* A small type-2 runtime for tests: it unpacks the image that begins where its own sections end, and starts AppRun.
   Real ones mount the image instead. */
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int run(char **words) {
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        execvp(words[0], words);
        _exit(127);
    }
    if (child < 0 || waitpid(child, &status, 0) < 0) return 125;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 126;
}

int main(int count, char **words) {
    char self[4096], offset[32], folder[] = "/tmp/appimage-XXXXXX", root[64], start[80];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    FILE *file = fopen("/proc/self/exe", "rb");
    Elf64_Ehdr header;
    if (length < 0 || !file || fread(&header, sizeof header, 1, file) != 1) return 124;
    self[length] = 0;
    snprintf(offset, sizeof offset, "%lu", header.e_shoff + header.e_shentsize * header.e_shnum);
    if (count == 2 && strcmp(words[1], "--appimage-offset") == 0) return puts(offset) < 0;
    if (!mkdtemp(folder)) return 123;
    snprintf(root, sizeof root, "%s/root", folder);
    snprintf(start, sizeof start, "%s/AppRun", root);
    char *unpack[] = {"unsquashfs", "-quiet", "-no-progress", "-offset", offset, "-dest", root, self, NULL};
    char *clear[] = {"rm", "-rf", folder, NULL};
    int ended = run(unpack);
    words[0] = start;
    if (ended == 0) ended = run(words);
    run(clear);
    return ended;
}
