/* Which digit is in a picture?  Asks a network that was trained in Python, without Python. */

#include <stdio.h>
#include "digits.h"

enum { ROWS = 8, COLUMNS = 8, WHITE = 16, BAR = 40 };

/* Reads a plain PGM file (https://netpbm.sourceforge.net/doc/pgm.html), eight by eight, white is 16. */
static int read_picture(const char *path, float *pixels) {
    FILE *file = fopen(path, "r");
    int columns, rows, white, value, read = 0;
    if (!file) return 0;
    if (fscanf(file, "P2 %d %d %d", &columns, &rows, &white) == 3 && columns == COLUMNS && rows == ROWS && white == WHITE)
        while (read < DIGITS_IMAGE_SIZE && fscanf(file, "%d", &value) == 1 && value >= 0 && value <= WHITE)
            pixels[read++] = (float)value;
    fclose(file);
    return read == DIGITS_IMAGE_SIZE;
}

static void draw(const float *pixels) {
    static const char shades[] = " .:-=+*#%@";
    for (int row = 0; row < ROWS; row++) {
        printf("    ");
        for (int column = 0; column < COLUMNS; column++) {
            char shade = shades[(int)(pixels[row * COLUMNS + column] * (sizeof shades - 2) / WHITE)];
            printf("%c%c", shade, shade);
        }
        printf("\n");
    }
}

int main(int count, char **arguments) {
    float pixels[DIGITS_IMAGE_SIZE], scores[DIGITS_OUT_0_SIZE];
    int32_t answer;
    if (count != 2) {
        fprintf(stderr, "usage: %s picture.pgm\n", arguments[0]);
        return 2;
    }
    if (!read_picture(arguments[1], pixels)) {
        fprintf(stderr, "%s: no plain PGM picture of 8 x 8 pixels whose white is 16\n", arguments[1]);
        return 2;
    }
    int64_t status = digits(pixels, scores, &answer);
    if (status) {
        fprintf(stderr, "%s: %s\n", arguments[0], digits_message(status));
        return 1;
    }
    draw(pixels);
    for (int digit = 0; digit < DIGITS_OUT_0_SIZE; digit++) {
        printf("%d %9.7f ", digit, (double)scores[digit]);
        for (int k = 0; k < (int)(scores[digit] * BAR + 0.5f); k++) printf("#");
        printf("\n");
    }
    printf("This is a %d.\n", (int)answer);
    return 0;
}
